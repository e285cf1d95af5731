import { defineConfig } from 'vitest/config';

const slow = { testTimeout: 60_000, hookTimeout: 60_000 };

export default defineConfig({
  test: {
    // For the cluster of the end-to-end tests to be removed.
    teardownTimeout: 120_000,
    projects: [
      {
        test: {
          name: 'unit',
          include: ['{api,agent,client,cli,operator,hack,bench}/**/*.test.ts'],
          // For a test that hangs, not for one that a busy machine makes slow: simulations take seconds as it is.
          testTimeout: 60_000,
          hookTimeout: 120_000,
        },
      },
      {
        test: { name: 'chaos', include: ['test/chaos/**/*.test.ts'], maxWorkers: 1, testTimeout: 240_000 },
      },
      {
        // Each file starts an API server of its own; skipped, with the reason, where hack/kind has built none.
        test: { name: 'kube', include: ['test/kube/**/*.test.ts'], maxWorkers: 1, testTimeout: 90_000 },
      },
      {
        // One cluster for all files: see test/e2e/support/global-setup.ts.
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts'],
          globalSetup: ['test/e2e/support/global-setup.ts'],
          setupFiles: ['test/e2e/support/diagnostics.ts'],
          maxWorkers: 1,
          testTimeout: 240_000,
          hookTimeout: 240_000,
        },
      },
      {
        // Each file brings its own Redis on free ports; two at a time is what two cores bear.
        test: {
          name: 'integration',
          include: ['test/integration/**/*.test.ts'],
          // Whoever shows no user has the rights of docs/security.md and no others: see hack/local/redis-server.ts.
          env: { TEST_REDIS_RIGHTS: 'agent' },
          maxWorkers: 2,
          ...slow,
        },
      },
    ],
  },
});
