"""What tests and benchmarks share: throwaway servers, a proxy that fails on request, Prisma's engine."""
