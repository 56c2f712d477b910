#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <fstream>
#include <string>
#include <vector>

#include "solver/plot.h"
#include "vibnet/solver.h"

namespace vibnet {

/// "97-71-33": how many units of each gate are kept; empty without gates.
std::string count_kept(const std::vector<std::vector<bool>>& gates);

/// Tells the user how a run goes: a line that updates on a terminal, log lines in a pipe, a JSON
/// object a line in DIR/log.jsonl, and the pictures DIR/curves.svg and DIR/kept_units.svg.
class TrainingLog : public SolverObserver {
 public:
  /// `images` is how many samples an iteration works on; 0 where that is not known. A resumed run
  /// goes on with the file it finds, less what it will write again, and with its curves. Throws
  /// Error where the folder cannot be written.
  TrainingLog(const Solver& solver, const std::string& folder, int images, bool resumes);

  void on_step(const TrainingStep& step) override;
  void on_test(const TestResult& result) override;
  void on_snapshot(const std::string& solverstate) override;

  /// Ends the terminal's line, draws the pictures, and says how long the solver waited for data.
  void finish();

 private:
  struct Shown {
    std::int64_t iteration;
    double seconds;
  };

  double seconds() const;
  void take_up(const std::string& path);
  void add_losses(std::int64_t iteration, double loss, double kl);
  void add_test(std::int64_t iteration, int net, const std::string& output, double value);
  void write_line(const std::string& json);
  void show(const TrainingStep& step, double now);
  void warn_of_lost_gates(const TrainingStep& step) const;
  void draw() const;
  void draw_pictures() const;

  const Solver& solver_;
  std::string folder_;
  int images_;
  bool is_terminal_;
  std::ofstream file_;
  std::chrono::steady_clock::time_point start_;
  std::int64_t first_iteration_;
  /// Of the run that this one resumes.
  double seconds_before_ = 0;
  /// The steps shown last, from the oldest on.
  std::deque<Shown> shown_;
  Curve loss_{"loss", {}, {}};
  Curve kl_{"KL", {}, {}};
  std::vector<Curve> tests_;
  std::vector<KeptHistory> kept_;
};

}  // namespace vibnet
