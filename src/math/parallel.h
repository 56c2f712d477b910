#pragma once

#include <omp.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <vector>

#include "math/thread_team.h"

namespace vibnet {

/// How many parts of so many things, the last perhaps of fewer, make n.
inline int parts(int n, int size) { return (n + size - 1) / size; }

/// Work smaller than this many values is not worth waking a thread for.
constexpr std::int64_t kParallelGrain = 16384;

/// How many items of so many values each are worth waking a thread for.
inline std::int64_t grain_of(std::int64_t values) {
  return 1 + kParallelGrain / std::max<std::int64_t>(1, values);
}

/// Outside the loop over pieces, and with a copy of what the body holds, so that its loops can be
/// vectorised: nothing that they write can be a part of the body.
template <typename Body>
[[gnu::noinline]] void call_body(const Body& body, std::int64_t begin, std::int64_t end) {
  const Body own = body;
  own(begin, end);
}

/// Whether work is to be done by the calling thread alone: its team's others are at work, or those
/// of the OpenMP region that it is called in, or there are none.
inline bool is_alone() {
  return ThreadTeam::is_in_use() || omp_in_parallel() || omp_get_max_threads() == 1;
}

/// A share of some jobs, of which threads take one after the other. On a cache line of its own.
struct alignas(64) JobShare {
  std::atomic<int> next;
  int end;
};

/// Calls body(job, thread) for each of `jobs` pieces of work of about one size. Each thread takes
/// those that stand beside each other, as with other loops over the same things, so that its core
/// is likely to hold their memory; and then helps the others with theirs.
template <typename Body>
void parallel_jobs(int jobs, const Body& body) {
  if (jobs <= 1 || is_alone()) {
    for (int job = 0; job < jobs; ++job) body(job, 0);
    return;
  }
  const int threads = std::min(jobs, omp_get_max_threads());
  std::vector<JobShare> shares(threads);
  const int size = parts(jobs, threads);
  for (int s = 0; s < threads; ++s) {
    shares[s].next = std::min(jobs, s * size);
    shares[s].end = std::min(jobs, (s + 1) * size);
  }
  const auto work = [&](int thread) {
    for (int i = 0; i < threads; ++i) {
      JobShare& share = shares[(thread + i) % threads];
      for (int job = share.next++; job < share.end; job = share.next++) body(job, thread);
    }
  };
  ThreadTeam::run(
      threads,
      [](const void* of, int thread) { (*static_cast<const decltype(work)*>(of))(thread); }, &work);
}

/// Calls body(begin, end) over [0, n) in pieces, on all threads when n > grain. What the body
/// writes for one index must not depend on where the pieces end.
template <typename Body>
void parallel_for(std::int64_t n, std::int64_t grain, const Body& body) {
  if (n <= grain || is_alone()) {
    if (n > 0) call_body(body, 0, n);
    return;
  }
  // So many that one who is late can be helped.
  constexpr int kPiecesOfAThread = 4;
  const std::int64_t wanted = std::int64_t{kPiecesOfAThread} * omp_get_max_threads();
  const std::int64_t piece = (n + wanted - 1) / wanted;
  parallel_jobs(static_cast<int>((n + piece - 1) / piece), [&](int job, int /*thread*/) {
    call_body(body, job * piece, std::min(n, (job + 1) * piece));
  });
}

/// parallel_jobs for parts of a product of so many multiply-adds, where those take longer than it
/// takes to wake a second thread.
template <typename Body>
void share_product(int jobs, std::int64_t multiply_adds, const Body& body) {
  constexpr std::int64_t kLargeProduct = 1 << 19;
  if (multiply_adds >= kLargeProduct) return parallel_jobs(jobs, body);
  for (int job = 0; job < jobs; ++job) body(job, 0);
}

/// Sums body(begin, end) over [0, n) in chunks whose size does not depend on the number of threads,
/// and neither does the sum.
template <typename Body>
double parallel_sum(std::int64_t n, const Body& body) {
  const std::int64_t chunks = (n + kParallelGrain - 1) / kParallelGrain;
  std::vector<double> sums(chunks);
  parallel_for(chunks, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t chunk = begin; chunk < end; ++chunk)
      sums[chunk] = body(chunk * kParallelGrain, std::min(n, (chunk + 1) * kParallelGrain));
  });
  double total = 0;
  for (const double sum : sums) total += sum;
  return total;
}

}  // namespace vibnet
