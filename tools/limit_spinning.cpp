// How the threads of a tool wait for each other. By default they spin for milliseconds, and where
// another process wants the cores too, each waits for a thread that is not running: measured 10 to
// 100 times slower. A short spin costs nothing on an idle machine.

#include <unistd.h>

#include <cstdlib>
#include <initializer_list>

namespace {

/// libgomp reads its settings as it is loaded, before any code of ours: so set them and start over.
__attribute__((constructor)) void limit_spinning(int /*argc*/, char** argv,
                                                 char** /*environment*/) {
  // A program that libgomp has bound to a processor is so bound after exec too, all its threads.
  for (const char* set :
       {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "OMP_PROC_BIND", "OMP_PLACES", "GOMP_CPU_AFFINITY"})
    if (getenv(set) != nullptr) return;
  if (setenv("GOMP_SPINCOUNT", "30000", 1) == 0) execv("/proc/self/exe", argv);
}

}  // namespace
