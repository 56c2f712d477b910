#include <cuda_runtime.h>
#include <errno.h>
#include <nccl.h>

#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <mutex>
#include <string>
#include <thread>

#include "solver/nccl/module.h"
#include "vibnet/error.h"

namespace vibnet {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

/// How often the others are looked for.
constexpr auto kPeriod = 200ms;
/// How long the process has to end by itself once one has ended.
constexpr auto kTimeToEnd = 5s;

void check(cudaError_t status, const char* call) {
  if (status != cudaSuccess) fail("GPU: ", call, ": ", cudaGetErrorString(status));
}

void check(ncclResult_t status, const char* call) {
  if (status != ncclSuccess) fail("NCCL: ", call, ": ", ncclGetErrorString(status));
}

/// Ranks that sum on their GPUs, on a stream of its own; the rest they do as before. A kernel that
/// waits for a rank that has ended waits for ever, and who waits for the kernel does too: so a
/// thread looks whether all are there, and if not, ends what NCCL has begun. Calls of CUDA's and
/// NCCL's that wait meanwhile may go on to do so: then the process ends from that thread.
class NcclRanks : public Communicator {
 public:
  explicit NcclRanks(Communicator* ranks) : ranks_(ranks) {
    ncclUniqueId id{};
    if (ranks->is_first()) check(ncclGetUniqueId(&id), "ncclGetUniqueId");
    ranks->broadcast(&id, sizeof(id));
    check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cudaStreamCreate");
    check(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming), "cudaEventCreate");
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    settle(ncclCommInitRankConfig(&sums_, ranks->size(), id, ranks->rank(), &config),
           "ncclCommInitRank");
    watcher_ = std::thread([this] { watch(); });
  }

  ~NcclRanks() override {
    end_watch();
    if (sums_ != nullptr) ncclCommAbort(sums_);
  }

  int rank() const override { return ranks_->rank(); }
  int size() const override { return ranks_->size(); }
  int size_here() const override { return ranks_->size_here(); }
  int rank_here() const override { return ranks_->rank_here(); }
  void sum(double* values, std::size_t count) override { ranks_->sum(values, count); }
  void broadcast(void* bytes, std::size_t count) override { ranks_->broadcast(bytes, count); }
  void check_others() const override { ranks_->check_others(); }

  bool sums_on_gpu() const override { return true; }
  void begin_sum(float* values, std::size_t count) override { begin(values, count, ncclFloat); }
  void finish_sums() override {
    check(cudaEventRecord(event_, stream_), "cudaEventRecord");
    check(cudaStreamWaitEvent(cudaStreamPerThread, event_, 0), "cudaStreamWaitEvent");
  }
  void sum_on_gpu(double* values, std::size_t count) override {
    begin(values, count, ncclDouble);
    finish_sums();
  }

  void leave() override {
    end_watch();
    if (failure_ != nullptr) std::rethrow_exception(failure_);
    settle(ncclCommFinalize(sums_), "ncclCommFinalize");
    ncclCommDestroy(sums_);
    sums_ = nullptr;
    ranks_->leave();
  }

 private:
  void begin(void* values, std::size_t count, ncclDataType_t type) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (failure_ != nullptr) std::rethrow_exception(failure_);
    check(cudaEventRecord(event_, cudaStreamPerThread), "cudaEventRecord");
    check(cudaStreamWaitEvent(stream_, event_, 0), "cudaStreamWaitEvent");
    settle(ncclAllReduce(values, values, count, type, ncclSum, sums_, stream_), "ncclAllReduce");
  }

  /// Waits until NCCL, which goes on behind calls, has done what the call asks.
  void settle(ncclResult_t status, const char* call) {
    for (Clock::time_point looked = Clock::now(); status == ncclInProgress;) {
      if (Clock::now() - looked > kPeriod) {
        ranks_->check_others();
        looked = Clock::now();
      }
      std::this_thread::yield();
      check(ncclCommGetAsyncError(sums_, &status), call);
    }
    check(status, call);
  }

  void watch() {
    std::unique_lock<std::mutex> watch(end_mutex_);
    while (!ends_.wait_for(watch, kPeriod, [this] { return is_ending_; })) try {
        check_others();
        check_sums();
      } catch (const Error& error) {
        end_in_time(error.what());
        const std::lock_guard<std::mutex> lock(mutex_);
        failure_ = std::current_exception();
        ncclCommAbort(sums_);
        sums_ = nullptr;
        return;
      }
  }

  /// Unless the other thread is in begin(), which finds its errors itself.
  void check_sums() {
    const std::unique_lock<std::mutex> lock(mutex_, std::try_to_lock);
    if (!lock) return;
    ncclResult_t status = ncclSuccess;
    check(ncclCommGetAsyncError(sums_, &status), "ncclCommGetAsyncError");
    if (status != ncclInProgress) check(status, "a sum over ranks");
  }

  static void end_in_time(const std::string& failure) {
    std::thread([failure] {
      std::this_thread::sleep_for(kTimeToEnd);
      std::cerr << program_invocation_short_name << ": " << failure << std::endl;
      std::_Exit(1);
    }).detach();
  }

  void end_watch() {
    {
      const std::lock_guard<std::mutex> lock(end_mutex_);
      is_ending_ = true;
    }
    ends_.notify_all();
    if (watcher_.joinable()) watcher_.join();
  }

  Communicator* ranks_;
  cudaStream_t stream_ = nullptr;
  cudaEvent_t event_ = nullptr;
  /// What follows is the watcher's too.
  std::mutex end_mutex_;
  std::condition_variable ends_;
  bool is_ending_ = false;
  /// Held while NCCL is called.
  std::mutex mutex_;
  /// What the watcher has found.
  std::exception_ptr failure_;
  ncclComm_t sums_ = nullptr;
  std::thread watcher_;
};

std::unique_ptr<Communicator> join(Communicator* ranks) {
  return std::make_unique<NcclRanks>(ranks);
}

}  // namespace
}  // namespace vibnet

extern "C" const void* vibnet_nccl_module() {
  static const vibnet::NcclModule module{vibnet::join};
  return &module;
}
