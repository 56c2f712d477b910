#pragma once

#include <exception>
#include <string>
#include <utility>
#include <vector>

#include "vibnet.pb.h"
#include "vibnet/solver.h"

namespace vibnet {

/// The exit code of a run that ^C stopped, after a snapshot.
constexpr int kStopped = 130;

/// Takes each --set out of the arguments: it may stand several times, which gflags does not know.
std::vector<std::string> take_assignments(int* argc, char** argv);

/// A solver's prototxt with assignments of --set. Throws UsageError for one that cannot be.
SolverParameter read_solver(const std::string& path, const std::vector<std::string>& assignments);

/// From here on SIGINT and SIGTERM ask for a stop, SIGHUP for a snapshot.
void watch_signals();
/// What was asked for since the last time.
SolverAction asked_action();

/// Only the first of several ranks logs, and those of one machine share its processors.
void set_up_rank(const Communicator& ranks);
/// What --device says to a rank: of "gpu", those of a machine take its GPUs in turn.
std::string device_of_rank(const std::string& value, const Communicator& ranks);
/// An error that all ranks come to is told by the first, whose end ends the others: they wait for
/// that, and speak up only where it does not come. That the first has ended is said by the second:
/// one that was killed says nothing itself.
void let_first_speak(const std::exception& error, const Communicator& ranks);

/// Samples an iteration works on; 0 where no data layer says.
int images_of_iteration(const Solver& solver);

/// For a net whose weights are all copied from a file, or not needed.
NetOptions without_fillers();

/// Every output of a net, by name: the mean over this many batches.
std::vector<std::pair<std::string, double>> mean_outputs(int iterations, Net* net);

}  // namespace vibnet
