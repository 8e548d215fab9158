#pragma once

// An empty echo over one completion queue and one thread: what gRPC alone costs. Call objects are
// reused, and each is armed again before it answers.

#include <string>
#include <vector>

namespace holdfast::bench {

// Serves until the process is killed. Path and address; the path is
//   inline  answered on the queue's thread
//   hop     handed to another thread, as Holdfast's shards are, and answered from there
void serve_echo(const std::vector<std::string>& words);

}  // namespace holdfast::bench
