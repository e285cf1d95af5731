import type { EdgeCacheClient } from '../edge-cache-client.ts';
import { EdgeCacheError, VersionConflictError } from '../errors.ts';
import { GpuNotAvailableError, UnknownGpuError } from './errors.ts';
import { gpuTags, keys, NAMESPACE } from './keys.ts';
import { CODECS, type GpuStatus } from './model.ts';

/** Tries of a compare-and-set whose version was old. */
const CAS_TRIES = 4;

/** The first gate of a booking: one compare-and-set in the cache, which spares the database hopeless tries. */
export class Claims {
  readonly #client: EdgeCacheClient;

  constructor(client: EdgeCacheClient) {
    this.#client = client;
  }

  /**
   * Marks a GPU as taken in the cache if it is free there. Without the cache the database decides alone.
   * @throws UnknownGpuError, GpuNotAvailableError
   */
  async claim(
    gpuId: string,
    bookingId: string,
    read: (gpuId: string) => Promise<GpuStatus | undefined>,
  ): Promise<GpuStatus> {
    for (let attempt = 1; ; attempt++) {
      const gpu = await read(gpuId);
      if (gpu === undefined) throw new UnknownGpuError(gpuId);
      // Taken by this very booking, tried again, is not taken.
      if (!gpu.available && gpu.bookingId !== bookingId) throw new GpuNotAvailableError(gpuId);
      if ((await this.#compareAndSet(gpu, bookingId)) || attempt >= CAS_TRIES) return gpu;
    }
  }

  /** False where the entry changed meanwhile: look again. */
  async #compareAndSet(gpu: GpuStatus, bookingId: string): Promise<boolean> {
    const key = keys.gpu(gpu.gpuId);
    const found = await this.#client.get(NAMESPACE.availability, key, {
      codec: CODECS.gpuStatus,
      // What is held here may be replaced already: the comparison would only fail.
      near: false,
    });
    // Without a version there is nothing to compare with; the database decides.
    if (found.status !== 'hit') return true;
    if (!found.value.available) return found.value.bookingId === bookingId;
    try {
      const claimed: GpuStatus = { ...found.value, available: false, bookingId };
      await this.#client.put(NAMESPACE.availability, key, claimed, {
        codec: CODECS.gpuStatus,
        tags: gpuTags(gpu),
        ifVersion: found.version,
        event: { type: 'gpu_availability_changed', resourceId: gpu.gpuId },
      });
      return true;
    } catch (error) {
      if (error instanceof VersionConflictError) return false;
      if (error instanceof EdgeCacheError && error.retryable) return true;
      throw error;
    }
  }
}
