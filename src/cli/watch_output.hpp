#pragma once

// What `watch` prints: a line for each event.

#include "holdfast/v1/lock_service.pb.h"

#include <string>

namespace holdfast::cli {

namespace v1 = ::holdfast::v1;

std::string show(const v1::WatchEvent& event);
std::string to_json(const v1::WatchEvent& event);

}  // namespace holdfast::cli
