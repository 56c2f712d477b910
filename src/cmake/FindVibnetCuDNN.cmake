# vibnet::cudnn, from beside the CUDA toolkit or from the system.

# The first cuDNN with this header is 9.
find_path(VIBNET_cudnn_INCLUDE cudnn_graph.h HINTS ${CUDAToolkit_INCLUDE_DIRS})
find_library(VIBNET_cudnn_LIBRARY cudnn HINTS ${CUDAToolkit_LIBRARY_DIR}
             ${CUDAToolkit_LIBRARY_ROOT}/lib)
if(VIBNET_cudnn_INCLUDE AND VIBNET_cudnn_LIBRARY)
  set(VibnetCuDNN_FOUND TRUE)
  add_library(vibnet::cudnn INTERFACE IMPORTED GLOBAL)
  target_include_directories(vibnet::cudnn SYSTEM INTERFACE ${VIBNET_cudnn_INCLUDE})
  target_link_libraries(vibnet::cudnn INTERFACE ${VIBNET_cudnn_LIBRARY})
else()
  set(VibnetCuDNN_FOUND FALSE)
  message(STATUS "CUDA was found, and cuDNN 9 was not: NVIDIA's package "
                 "cudnn9-cuda-${CUDAToolkit_VERSION_MAJOR} has it; without it there are no GPU layers")
endif()
