#include <mpi.h>
#include <sched.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <string>
#include <thread>
#include <vector>

#include "solver/mpi/module.h"
#include "vibnet/error.h"

namespace vibnet {
namespace {

using Clock = std::chrono::steady_clock;

void check(int code) {
  if (code == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING];
  int length = 0;
  MPI_Error_string(code, text, &length);
  fail("MPI: ", std::string(text, length));
}

/// Another rank on this machine.
struct Peer {
  int rank;
  int process;
};

/// The ranks of MPI_COMM_WORLD. Open MPI waits by looking again and again, and waits for a rank
/// that has died for ever; so nothing here waits within MPI.
class MpiRanks : public Communicator {
 public:
  explicit MpiRanks(int expected) {
    int provided = 0;
    check(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided));
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    check(MPI_Comm_rank(MPI_COMM_WORLD, &rank_));
    check(MPI_Comm_size(MPI_COMM_WORLD, &size_));
    if (size_ != expected)
      fail("mpirun has started ", expected, " ranks, and MPI knows ", size_,
           ": is mpirun that of another MPI than vibnet was built with?");
    find_peers();
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  int size_here() const override { return size_here_; }
  int rank_here() const override { return rank_here_; }

  void sum(double* values, std::size_t count) override {
    MPI_Request request;
    check(MPI_Iallreduce(MPI_IN_PLACE, values, static_cast<int>(count), MPI_DOUBLE, MPI_SUM,
                         MPI_COMM_WORLD, &request));
    wait({request});
  }

  void begin_sum(float* values, std::size_t count) override {
    sums_.emplace_back();
    check(MPI_Iallreduce(MPI_IN_PLACE, values, static_cast<int>(count), MPI_FLOAT, MPI_SUM,
                         MPI_COMM_WORLD, &sums_.back()));
  }

  void go_on() override {
    if (!sums_.empty()) are_done(&sums_);
  }

  void finish_sums() override {
    wait(sums_);
    sums_.clear();
  }

  void broadcast(void* bytes, std::size_t count) override {
    MPI_Request request;
    check(MPI_Ibcast(bytes, static_cast<int>(count), MPI_BYTE, 0, MPI_COMM_WORLD, &request));
    wait({request});
  }

  void leave() override {
    MPI_Request request;
    check(MPI_Ibarrier(MPI_COMM_WORLD, &request));
    wait({request});
    MPI_Finalize();
  }

  void check_others() const override {
    if (getppid() != launcher_) fail("mpirun has ended, and so does rank ", rank_);
    for (const Peer& peer : peers_)
      if (!is_there(peer)) throw RankHasEnded(peer.rank);
  }

  bool first_has_ended() const {
    return !peers_.empty() && peers_[0].rank == 0 && !is_there(peers_[0]);
  }

 private:
  void find_peers() {
    MPI_Comm here;
    check(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &here));
    check(MPI_Comm_size(here, &size_here_));
    check(MPI_Comm_rank(here, &rank_here_));
    const Peer own{rank_, getpid()};
    std::vector<Peer> all(size_here_);
    check(MPI_Allgather(&own, sizeof(own), MPI_BYTE, all.data(), sizeof(own), MPI_BYTE, here));
    MPI_Comm_free(&here);
    for (const Peer& peer : all)
      if (peer.rank != rank_ && is_there(peer)) peers_.push_back(peer);
  }

  static bool is_there(const Peer& peer) { return kill(peer.process, 0) == 0 || errno != ESRCH; }

  static bool are_done(std::vector<MPI_Request>* requests) {
    int done = 0;
    check(MPI_Testall(static_cast<int>(requests->size()), requests->data(), &done,
                      MPI_STATUSES_IGNORE));
    return done != 0;
  }

  void wait(std::vector<MPI_Request> requests) const {
    if (getppid() != launcher_) fail("mpirun has ended, and so does rank ", rank_);
    const Clock::time_point start = Clock::now();
    Clock::time_point looked = start;
    while (!are_done(&requests)) {
      const Clock::time_point now = Clock::now();
      rest(now - start);
      if (now - looked < std::chrono::milliseconds(200)) continue;
      looked = now;
      check_others();
    }
  }

  /// The longer the wait has been, the less of the processor it shall take.
  static void rest(Clock::duration waited) {
    using namespace std::chrono_literals;
    if (waited < 200us) return;
    if (waited < 2ms)
      sched_yield();
    else
      std::this_thread::sleep_for(waited < 100ms ? 50us : 1ms);
  }

  int rank_ = 0;
  int size_ = 1;
  int size_here_ = 1;
  int rank_here_ = 0;
  pid_t launcher_ = getppid();
  std::vector<Peer> peers_;
  std::vector<MPI_Request> sums_;
};

std::unique_ptr<Communicator> join(int size) { return std::make_unique<MpiRanks>(size); }

bool first_has_ended(const Communicator& ranks) {
  return static_cast<const MpiRanks&>(ranks).first_has_ended();
}

}  // namespace
}  // namespace vibnet

extern "C" const void* vibnet_mpi_module() {
  static const vibnet::MpiModule module{vibnet::join, vibnet::first_has_ended};
  return &module;
}
