#include "write_records.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <iostream>
#include <sstream>

#include "data/lmdb.h"

namespace vibnet {
namespace {

constexpr int kStopped = 130;

volatile std::sig_atomic_t is_stopped = 0;

void stop_on_signals() {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP})
    std::signal(signal, [](int) { is_stopped = 1; });
}

/// "train.lmdb: 1200 of 60000 records, 40000/s": on a terminal one line that is written over, in a
/// pipe one now and then.
class Progress {
 public:
  Progress(const std::string& path, std::size_t count) : path_(path), count_(count) {}

  void show(std::size_t done) {
    const double now = seconds();
    if (now - last_shown_ < interval_) return;
    last_shown_ = now;
    std::ostringstream line;
    line << path_ << ": " << done << " of " << count_ << " records, " << rate(done) << "/s";
    std::cerr << (is_terminal_ ? "\r" : "") << line.str() << (is_terminal_ ? "\033[K" : "\n")
              << std::flush;
    is_shown_ = true;
  }

  /// Takes the line off the terminal.
  void clear() const {
    if (is_terminal_ && is_shown_) std::cerr << "\r\033[K" << std::flush;
  }

  long rate(std::size_t done) const { return static_cast<long>(done / std::max(seconds(), 1e-3)); }

 private:
  using Clock = std::chrono::steady_clock;

  double seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

  const std::string& path_;
  std::size_t count_;
  Clock::time_point start_ = Clock::now();
  bool is_terminal_ = isatty(STDERR_FILENO) == 1;
  double interval_ = is_terminal_ ? 0.2 : 10;
  double last_shown_ = 0;
  bool is_shown_ = false;
};

}  // namespace

int write_records(const std::string& path, std::size_t count,
                  const std::function<NamedRecord(std::size_t)>& make) {
  LmdbWriter writer(path);
  stop_on_signals();
  Progress progress(path, count);
  for (std::size_t i = 0; i < count && is_stopped == 0; ++i) {
    const NamedRecord record = make(i);
    writer.put(record.key, record.datum.SerializeAsString());
    progress.show(i + 1);
  }
  progress.clear();
  if (is_stopped != 0) return kStopped;
  writer.finish();
  std::cout << path << ": " << count << " records, " << progress.rate(count) << "/s\n";
  return 0;
}

}  // namespace vibnet
