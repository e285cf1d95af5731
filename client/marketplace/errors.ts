/** What can go wrong with a booking or update, apart from the cache itself. */
export type MarketplaceErrorCode =
  | 'EC_MARKET_UNKNOWN_GPU'
  | 'EC_MARKET_GPU_NOT_AVAILABLE'
  | 'EC_MARKET_UNKNOWN_BOOKING'
  | 'EC_MARKET_INVALID';

export class MarketplaceError extends Error {
  readonly code: MarketplaceErrorCode;

  constructor(code: MarketplaceErrorCode, message: string) {
    super(message);
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
