#pragma once

#include <string>
#include <vector>

#include "vibnet.pb.h"

namespace vibnet {

/// The records of a pair of IDX files, the form of MNIST, gzipped or not. Throws Error with the
/// path where a file is missing, cut off, too long or of another kind, where the two do not fit
/// each other, or a label is no class from 0 to `classes` - 1.
std::vector<Datum> read_idx(const std::string& images, const std::string& labels, int classes);

/// What the label bytes of a CIFAR file are.
enum class CifarKind { CIFAR10, CIFAR100_FINE };

/// The records of one binary batch file of CIFAR-10 or CIFAR-100. Throws Error with the path where
/// it is missing, not a whole number of records, or a label is no class.
std::vector<Datum> read_cifar(const std::string& path, CifarKind kind);

}  // namespace vibnet
