/** What can go wrong with a booking or update, apart from the cache itself. */
export type MarketplaceErrorCode =
  | 'EC_MARKET_UNKNOWN_GPU'
  | 'EC_MARKET_GPU_NOT_AVAILABLE'
  | 'EC_MARKET_UNKNOWN_BOOKING'
  | 'EC_MARKET_UNKNOWN_MARKET'
  | 'EC_MARKET_INCOMPLETE'
  | 'EC_MARKET_INVALID';

export class MarketplaceError extends Error {
  readonly code: MarketplaceErrorCode;

  constructor(code: MarketplaceErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'MarketplaceError';
    this.code = code;
  }
}

export class UnknownGpuError extends MarketplaceError {
  constructor(gpuId: string) {
    super('EC_MARKET_UNKNOWN_GPU', `there is no GPU '${gpuId}'`);
    this.name = 'UnknownGpuError';
  }
}

export class GpuNotAvailableError extends MarketplaceError {
  constructor(gpuId: string) {
    super('EC_MARKET_GPU_NOT_AVAILABLE', `GPU '${gpuId}' is booked or out of service`);
    this.name = 'GpuNotAvailableError';
  }
}

export class UnknownBookingError extends MarketplaceError {
  constructor(bookingId: string) {
    super('EC_MARKET_UNKNOWN_BOOKING', `there is no booking '${bookingId}'`);
    this.name = 'UnknownBookingError';
  }
}

export class UnknownMarketError extends MarketplaceError {
  constructor(region: string, gpuType: string) {
    super('EC_MARKET_UNKNOWN_MARKET', `there is no market for '${gpuType}' in '${region}'`);
    this.name = 'UnknownMarketError';
  }
}

/** What follows from a booking or its cancellation. */
export type BookingEffect = 'availability' | 'price' | 'statistics' | 'event';

/** The database has decided, and some of what follows could not be done: the same call again completes it. */
export class IncompleteBookingError extends MarketplaceError {
  readonly bookingId: string;
  readonly failed: readonly BookingEffect[];

  constructor(bookingId: string, failures: ReadonlyMap<BookingEffect, unknown>) {
    const failed = [...failures.keys()];
    super(
      'EC_MARKET_INCOMPLETE',
      `the database has '${bookingId}' as asked, but not done: ${failed.join(', ')}; call again with this bookingId`,
      { cause: new AggregateError(failures.values()) },
    );
    this.name = 'IncompleteBookingError';
    this.bookingId = bookingId;
    this.failed = failed;
  }
}
