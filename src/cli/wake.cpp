#include "cli/wake.hpp"

#include <cerrno>
#include <sys/eventfd.h>
#include <system_error>
#include <unistd.h>

namespace holdfast::cli {

Wake::Wake() : fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (fd_ < 0) {
        throw std::system_error{errno, std::generic_category(), "eventfd"};
    }
}

Wake::~Wake() {
    close(fd_);
}

void Wake::set() const {
    eventfd_write(fd_, 1);
}

void Wake::clear() const {
    eventfd_t times = 0;
    eventfd_read(fd_, &times);
}

}  // namespace holdfast::cli
