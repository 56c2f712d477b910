# The libraries that bring no CMake package in Debian 12: vibnet::openblas, vibnet::lmdb,
# vibnet::random123 and, with WITH_OPENCV, vibnet::opencv (core, imgproc and imgcodecs), with
# WITH_HDF5 vibnet::hdf5.

# vibnet_library(NAME HEADER [LIBRARY...])
function(vibnet_library name header)
  find_path(VIBNET_${name}_INCLUDE ${header} PATH_SUFFIXES openblas-openmp opencv4 hdf5/serial)
  set(needed VIBNET_${name}_INCLUDE)
  add_library(vibnet::${name} INTERFACE IMPORTED GLOBAL)
  foreach(library ${ARGN})
    find_library(VIBNET_${library}_LIBRARY ${library} PATH_SUFFIXES openblas-openmp
                 hdf5/serial)
    list(APPEND needed VIBNET_${library}_LIBRARY)
    target_link_libraries(vibnet::${name} INTERFACE ${VIBNET_${library}_LIBRARY})
  endforeach()
  foreach(variable ${needed})
    if(NOT ${variable})
      message(FATAL_ERROR "${name} (${header}) was not found; tools/setup.sh installs it")
    endif()
  endforeach()
  target_include_directories(vibnet::${name} SYSTEM INTERFACE ${VIBNET_${name}_INCLUDE})
endfunction()

vibnet_library(openblas cblas.h openblas)
vibnet_library(lmdb lmdb.h lmdb)
vibnet_library(random123 Random123/philox.h)
if(WITH_OPENCV)
  vibnet_library(opencv opencv2/imgcodecs.hpp opencv_imgcodecs opencv_imgproc opencv_core)
endif()
if(WITH_HDF5)
  vibnet_library(hdf5 hdf5.h hdf5)
endif()
set(VibnetLibraries_FOUND TRUE)
