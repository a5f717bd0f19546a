// Calls of the CUDA runtime that only have to succeed. Apart from fake_cudart.c because their headers differ.
#define OK(name) int name(void) { return 0; }
OK(cudaDeviceCanAccessPeer) OK(cudaDeviceEnablePeerAccess) OK(cudaDeviceGetDefaultMemPool)
OK(cudaDeviceGetGraphMemAttribute) OK(cudaDeviceGetStreamPriorityRange) OK(cudaDeviceSetGraphMemAttribute)
OK(cudaDeviceSynchronize) OK(cudaEventCreateWithFlags) OK(cudaEventDestroy) OK(cudaEventElapsedTime) OK(cudaEventQuery)
OK(cudaEventRecord) OK(cudaEventSynchronize) OK(cudaFreeAsync) OK(cudaGraphNodeGetDependencies)
OK(cudaIpcCloseMemHandle) OK(cudaIpcGetMemHandle) OK(cudaIpcOpenMemHandle) OK(cudaMallocAsync)
OK(cudaMemPoolGetAttribute) OK(cudaMemPoolSetAccess) OK(cudaMemPoolSetAttribute) OK(cudaMemPoolTrimTo) OK(cudaMemcpy)
OK(cudaMemcpyAsync) OK(cudaMemcpyPeerAsync) OK(cudaStreamCreateWithPriority) OK(cudaStreamGetCaptureInfo)
OK(cudaStreamQuery) OK(cudaStreamSynchronize) OK(cudaStreamWaitEvent) OK(cudaThreadExchangeStreamCaptureMode)
OK(cudaStreamGetCaptureInfo_v2) OK(cudaPeekAtLastError)
