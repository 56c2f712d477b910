# vibnet::nccl, from beside the CUDA toolkit or from the system.

find_path(VIBNET_nccl_INCLUDE nccl.h HINTS ${CUDAToolkit_INCLUDE_DIRS})
find_library(VIBNET_nccl_LIBRARY nccl HINTS ${CUDAToolkit_LIBRARY_DIR}
             ${CUDAToolkit_LIBRARY_ROOT}/lib)
if(VIBNET_nccl_INCLUDE AND VIBNET_nccl_LIBRARY)
  set(VibnetNCCL_FOUND TRUE)
  add_library(vibnet::nccl INTERFACE IMPORTED GLOBAL)
  target_include_directories(vibnet::nccl SYSTEM INTERFACE ${VIBNET_nccl_INCLUDE})
  target_link_libraries(vibnet::nccl INTERFACE ${VIBNET_nccl_LIBRARY} CUDA::cudart)
else()
  set(VibnetNCCL_FOUND FALSE)
  message(STATUS "CUDA was found, and NCCL was not: ranks on several GPUs sum through the host's "
                 "memory without it")
endif()
