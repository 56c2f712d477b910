# Finds a library from beside the CUDA toolkit or from the system, by its name and a header of its
# own: sets `found`, and makes vibnet::NAME, which links what else is named too.
macro(find_beside_cuda found name header)
  find_path(VIBNET_${name}_INCLUDE ${header} HINTS ${CUDAToolkit_INCLUDE_DIRS})
  find_library(VIBNET_${name}_LIBRARY ${name} HINTS ${CUDAToolkit_LIBRARY_DIR}
               ${CUDAToolkit_LIBRARY_ROOT}/lib)
  if(VIBNET_${name}_INCLUDE AND VIBNET_${name}_LIBRARY)
    set(${found} TRUE)
    add_library(vibnet::${name} INTERFACE IMPORTED GLOBAL)
    target_include_directories(vibnet::${name} SYSTEM INTERFACE ${VIBNET_${name}_INCLUDE})
    target_link_libraries(vibnet::${name} INTERFACE ${VIBNET_${name}_LIBRARY} ${ARGN})
  else()
    set(${found} FALSE)
  endif()
endmacro()
