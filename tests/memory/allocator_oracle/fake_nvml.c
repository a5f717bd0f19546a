// NVML without a device: no fabric, no links, no processes. libc10_cuda opens libnvidia-ml.so.1 by name.
#define OK(name) int name(void) { return 0; }
#define REFUSE(name) int name(void) { return 3; }  // NVML_ERROR_NOT_SUPPORTED
int nvmlDeviceGetHandleByPciBusId_v2(const char *id, void **out) { return (void)id, *out = (void *)1, 0; }
int nvmlDeviceGetComputeRunningProcesses(void *device, unsigned *count, void *out) {
  return (void)device, (void)out, *count = 0, 0;
}
OK(nvmlInit_v2) OK(nvmlDeviceGetGpuFabricInfoV)
REFUSE(nvmlDeviceGetNvLinkRemoteDeviceType) REFUSE(nvmlDeviceGetNvLinkRemotePciInfo_v2)
REFUSE(nvmlSystemGetCudaDriverVersion_v2) REFUSE(nvmlDeviceGetCount_v2)
