# vibnet::nccl.

include(${CMAKE_CURRENT_LIST_DIR}/find_beside_cuda.cmake)
find_beside_cuda(VibnetNCCL_FOUND nccl nccl.h CUDA::cudart)
if(NOT VibnetNCCL_FOUND)
  message(STATUS "CUDA was found, and NCCL was not: ranks on several GPUs sum through the host's "
                 "memory without it")
endif()
