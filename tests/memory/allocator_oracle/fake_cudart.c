// A CUDA runtime and driver without a device: what libc10_cuda needs for its caching allocator to run.
//
// FAKE_TOTAL bytes of memory in pages of 2 MiB; cudaMalloc's addresses ascend, or with FAKE_ADDRESSES=descending
// descend, or with FAKE_ADDRESSES=lowest fill the lowest gap. Address space for expandable segments is apart.
#include <cuda.h>
#include <cuda_runtime_api.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define PAGE (2ull << 20)
#define FIRST 0x700000000000ull
#define FIRST_RANGE 0x500000000000ull
#define MOST 65536

static size_t total, used;
static struct { uintptr_t at; size_t size; } live[MOST];
static int live_count, handle_count = 1, device;
static size_t handles[MOST];
static uintptr_t next = FIRST, next_range = FIRST_RANGE, untouched;

static void setup(void) {
  if (!total) total = strtoull(getenv("FAKE_TOTAL"), 0, 10);
}

static int addresses(const char *kind) {
  const char *wanted = getenv("FAKE_ADDRESSES");
  return wanted && !strcmp(wanted, kind);
}

static uintptr_t lowest(size_t size) {
  uintptr_t at = FIRST;
  for (int again = 1; again;) {
    again = 0;
    for (int i = 0; i < live_count; i++)
      if (live[i].at < at + size && at < live[i].at + live[i].size) at = live[i].at + live[i].size, again = 1;
  }
  return at;
}

cudaError_t cudaMalloc(void **out, size_t size) {
  setup();
  size = (size + PAGE - 1) / PAGE * PAGE;
  if (used + size > total) return *out = 0, cudaErrorMemoryAllocation;
  used += size;
  uintptr_t at = next;
  if (addresses("lowest")) at = lowest(size);
  else if (addresses("descending")) at = next -= size;
  else next += size;
  live[live_count].at = at, live[live_count++].size = size;
  return *out = (void *)at, cudaSuccess;
}

cudaError_t cudaFree(void *at) {
  for (int i = 0; i < live_count; i++)
    if (live[i].at == (uintptr_t)at) return used -= live[i].size, live[i] = live[--live_count], cudaSuccess;
  return cudaErrorInvalidValue;
}

cudaError_t cudaMemGetInfo(size_t *free, size_t *all) { return setup(), *free = total - used, *all = total, cudaSuccess; }
cudaError_t cudaGetDeviceCount(int *count) { return *count = 1, cudaSuccess; }
cudaError_t cudaGetDevice(int *out) { return *out = device, cudaSuccess; }
cudaError_t cudaSetDevice(int in) { return device = in, cudaSuccess; }
cudaError_t cudaGetLastError(void) { return cudaSuccess; }
const char *cudaGetErrorName(cudaError_t error) { return error ? "cudaError" : "cudaSuccess"; }
const char *cudaGetErrorString(cudaError_t error) { return error ? "an error" : "no error"; }
cudaError_t cudaDriverGetVersion(int *version) { return *version = 13000, cudaSuccess; }

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *out, int which) {
  (void)which, setup(), memset(out, 0, sizeof *out);
  out->totalGlobalMem = total, out->major = 9;
  return cudaSuccess;
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, enum cudaStreamCaptureStatus *out) {
  return (void)stream, *out = cudaStreamCaptureStatusNone, cudaSuccess;
}

static CUresult mem_create(CUmemGenericAllocationHandle *out, size_t size, const void *what, unsigned long long flags) {
  (void)what, (void)flags, setup(), untouched = 0;
  if (used + size > total) return CUDA_ERROR_OUT_OF_MEMORY;
  return used += size, handles[handle_count] = size, *out = handle_count++, CUDA_SUCCESS;
}

static CUresult mem_release(CUmemGenericAllocationHandle handle) { return used -= handles[handle], CUDA_SUCCESS; }

static CUresult address_reserve(CUdeviceptr *out, size_t size, size_t align, CUdeviceptr hint, unsigned long long flags) {
  (void)align, (void)hint, (void)flags, *out = untouched = next_range;
  return next_range += (size / (1ull << 30) + 1) << 30, CUDA_SUCCESS;
}

// A range that is given back before anything was mapped in it leaves no trace.
static CUresult address_free(CUdeviceptr at, size_t size) {
  (void)size;
  if (at == untouched) next_range = at;
  return CUDA_SUCCESS;
}

static CUresult nothing(void) { return CUDA_SUCCESS; }
static CUresult attribute(int *out, int which, int of) { return (void)which, (void)of, *out = 0, CUDA_SUCCESS; }
static CUresult error_string(CUresult error, const char **out) { return (void)error, *out = "an error", CUDA_SUCCESS; }

cudaError_t cudaGetDriverEntryPointByVersion(const char *name, void **out, unsigned version, unsigned long long flags,
                                             enum cudaDriverEntryPointQueryResult *result) {
  (void)version, (void)flags;
  if (result) *result = cudaDriverEntryPointSuccess;
  *out = !strcmp(name, "cuMemCreate") ? (void *)mem_create
         : !strcmp(name, "cuMemRelease") ? (void *)mem_release
         : !strcmp(name, "cuMemAddressReserve") ? (void *)address_reserve
         : !strcmp(name, "cuMemAddressFree") ? (void *)address_free
         : !strcmp(name, "cuDeviceGetAttribute") ? (void *)attribute
         : !strcmp(name, "cuGetErrorString") ? (void *)error_string
                                             : (void *)nothing;
  return cudaSuccess;
}
