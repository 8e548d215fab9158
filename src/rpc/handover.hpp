#pragma once

// A call goes to gRPC on one thread and comes back on another. gRPC orders the two, but is not built
// with the thread sanitizer, which therefore has to be told. Nothing in other builds.

#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

namespace holdfast::rpc {

inline void handed_to_grpc([[maybe_unused]] void* what) {
#if defined(__SANITIZE_THREAD__)
    __tsan_release(what);
#endif
}

inline void back_from_grpc([[maybe_unused]] void* what) {
#if defined(__SANITIZE_THREAD__)
    __tsan_acquire(what);
#endif
}

}  // namespace holdfast::rpc
