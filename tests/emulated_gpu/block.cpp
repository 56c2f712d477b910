#include "block.h"

#include <cuda_runtime.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <deque>
#include <memory>
#include <set>
#include <vector>

#include "races.h"

dim3 gridDim, blockDim;
uint3 blockIdx, threadIdx;

namespace emulated_gpu {
namespace {

constexpr int kWarp = 32;
constexpr std::size_t kStack = 128 << 10;

/// With a page below that nobody may touch. Fibers are there to the end of the program.
char* new_stack() {
  const std::size_t page = sysconf(_SC_PAGESIZE);
  void* pages =
      mmap(nullptr, kStack + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) fault("no memory for a stack");
  mprotect(pages, page, PROT_NONE);
  return static_cast<char*>(pages) + page;
}

/// A place where work can be left and gone on with. swapcontext() would do, but it asks the kernel
/// each time; setjmp() would do, but ThreadSanitizer does not know what it is used for here.
struct Place {
  void* at[5];
  /// Whether `at` holds, or `start` is to be begun with.
  bool has_been_left = false;
  ucontext_t start;

  __attribute__((noinline)) void go_to(Place* other) {
    if (__builtin_setjmp(at) != 0) return;
    has_been_left = true;
    other->enter();
  }
  [[noreturn]] __attribute__((noinline)) void enter() {
    if (has_been_left) __builtin_longjmp(at, 1);
    setcontext(&start);
    std::abort();
  }
};

/// A stack that does one thread of the block after the other, as long as none has to wait.
struct Fiber {
  Place place;
  char* stack = new_stack();
  int thread = 0;
};

struct Warp {
  unsigned lanes = 0;
  unsigned ended = 0;
  unsigned arrived = 0;
  std::vector<Fiber*> waiting;
  /// Of this exchange and the one before, which some lanes may not have read yet.
  Word words[2][kWarp];
  int now = 0;
};

/// The block that runs; there is one at a time.
struct Block {
  const std::function<void()>* work = nullptr;
  bool is_backward = false;
  int threads = 0;
  int begun = 0;
  int ended = 0;
  std::vector<Warp> warps;
  std::vector<Fiber*> at_barrier;
  int barriers = 0;
  std::deque<Fiber*> ready;
  Fiber* running = nullptr;
  Place host;
  std::vector<std::unique_ptr<Fiber>> fibers;
  /// The first of the fibers, in this block.
  std::size_t used = 0;
  Races races;
  /// Shared memory that the block has begun to use.
  std::set<const void*> shared;

  void choose(Fiber* fiber, int thread) {
    running = fiber;
    fiber->thread = thread;
    threadIdx.x = thread % blockDim.x;
    threadIdx.y = thread / blockDim.x % blockDim.y;
    threadIdx.z = thread / blockDim.x / blockDim.y;
  }
  int next_thread() {
    const int thread = is_backward ? threads - 1 - begun : begun;
    ++begun;
    return thread;
  }
  Warp& warp() { return warps[running->thread / kWarp]; }
  void wake(std::vector<Fiber*>* waiting) {
    ready.insert(ready.end(), waiting->begin(), waiting->end());
    waiting->clear();
  }

  void end_thread() {
    ++ended;
    warp().ended |= 1u << running->thread % kWarp;
    if (!at_barrier.empty()) fault("a thread has ended while others of its block are at a barrier");
  }
  void end_barrier() {
    ++barriers;
    wake(&at_barrier);
  }

  void wait_in(std::vector<Fiber*>* waiting) {
    waiting->push_back(running);
    running->place.go_to(&host);
  }

  void run();
};

Block& block() {
  static auto* const block = new Block;  // the last kernels run when the program has ended
  return *block;
}

void run_fiber() {
  Block& of = block();
  Fiber* fiber = of.running;
  for (;;) {
    of.races.begin_thread(fiber->thread);
    (*of.work)();
    of.races.end_thread();
    of.end_thread();
    // Races are looked for by address: two threads that have one stack would seem to have one.
    if (of.begun < of.threads && !Races::are_looked_for()) {
      of.choose(fiber, of.next_thread());
      continue;
    }
    fiber->place.go_to(&of.host);
  }
}

std::unique_ptr<Fiber> new_fiber() {
  auto fiber = std::make_unique<Fiber>();
  ucontext_t& start = fiber->place.start;
  getcontext(&start);
  start.uc_stack.ss_sp = fiber->stack;
  start.uc_stack.ss_size = kStack;
  makecontext(&start, run_fiber, 0);
  return fiber;
}

void Block::run() {
  while (ended < threads) {
    if (!ready.empty()) {
      Fiber* fiber = ready.front();
      ready.pop_front();
      choose(fiber, fiber->thread);
    } else if (begun < threads) {
      if (used == fibers.size()) fibers.push_back(new_fiber());
      choose(fibers[used++].get(), next_thread());
    } else {
      fault("the threads of a block wait for each other");
    }
    host.go_to(&running->place);
  }
}

}  // namespace

void fault(const char* what) {
  std::fprintf(stderr, "emulated GPU: %s\n", what);
  std::abort();
}

void run_block(const std::function<void()>& thread, bool is_backward) {
  Block& of = block();
  of.work = &thread;
  of.is_backward = is_backward;
  of.threads = static_cast<int>(blockDim.x * blockDim.y * blockDim.z);
  of.begun = of.ended = 0;
  of.used = 0;
  of.shared.clear();
  of.warps.assign((of.threads + kWarp - 1) / kWarp, Warp());
  for (int i = 0; i < of.threads; ++i) of.warps[i / kWarp].lanes |= 1u << i % kWarp;
  of.races.begin_block(of.threads);
  of.run();
  of.races.end_block();
}

void wait_for_block() {
  Block& of = block();
  if (of.ended > 0) fault("a thread is at a barrier that others of its block have passed by");
  const int thread = of.running->thread;
  const int barrier = of.barriers;
  of.races.come_to_barrier(barrier);
  if (static_cast<int>(of.at_barrier.size()) + 1 == of.threads)
    of.end_barrier();
  else
    of.wait_in(&of.at_barrier);
  of.races.go_on_with(thread);
  of.races.leave_barrier(barrier);
}

void begin_shared(void* memory, std::size_t bytes) {
  if (!block().shared.insert(memory).second) return;
  auto* byte = static_cast<volatile unsigned char*>(memory);  // no call that ThreadSanitizer sees
  for (std::size_t i = 0; i < bytes; ++i) byte[i] = 0xff;
}

unsigned lane() { return block().running->thread % kWarp; }

Word exchange_in_warp(unsigned mask, Word word, unsigned from) {
  Block& of = block();
  Warp& warp = of.warp();
  const int thread = of.running->thread;
  of.races.leave_thread();
  mask &= warp.lanes;
  if ((mask >> lane() & 1) == 0) fault("a shuffle by a lane that is not in its mask");
  if ((mask >> from & 1) == 0) fault("a shuffle reads a lane that is not in its mask");
  if ((mask & warp.ended) != 0) fault("a shuffle waits for a lane that has ended");
  const int now = warp.now;
  warp.words[now][lane()] = word;
  warp.arrived |= 1u << lane();
  if (warp.arrived == mask) {
    warp.arrived = 0;
    warp.now = 1 - now;
    of.wake(&warp.waiting);
  } else {
    of.wait_in(&warp.waiting);
  }
  of.races.go_on_with(thread);
  return warp.words[now][from];
}

}  // namespace emulated_gpu
