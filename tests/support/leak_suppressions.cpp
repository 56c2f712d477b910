// For the asan preset. HDF5 1.10 keeps a buffer of a file that it cannot close on a full disk.
extern "C" const char* __lsan_default_suppressions();
extern "C" const char* __lsan_default_suppressions() { return "leak:libhdf5"; }
