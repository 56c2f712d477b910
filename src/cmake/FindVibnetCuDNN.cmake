# vibnet::cudnn. The first cuDNN with this header is 9.

include(${CMAKE_CURRENT_LIST_DIR}/find_beside_cuda.cmake)
find_beside_cuda(VibnetCuDNN_FOUND cudnn cudnn_graph.h)
if(NOT VibnetCuDNN_FOUND)
  message(STATUS "CUDA was found, and cuDNN 9 was not: NVIDIA's package "
                 "cudnn9-cuda-${CUDAToolkit_VERSION_MAJOR} has it; without it there are no GPU layers")
endif()
