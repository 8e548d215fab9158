#pragma once

// The clock of a test's redis-server, to be set while it runs: see clock_shim.c.

#include "support/paths.hpp"
#include "support/process.hpp"

#include <chrono>
#include <cstdint>
#include <fcntl.h>
#include <map>
#include <stdexcept>
#include <string>
#include <sys/mman.h>
#include <unistd.h>

namespace holdfast::test {

class RedisClock {
public:
    RedisClock() {
        if (access(program("clock_shim.so").c_str(), R_OK) != 0) {
            throw std::runtime_error("no " +
                                     program("clock_shim.so"));  // it would just not be loaded
        }
        const int file = open(path().c_str(), O_RDWR | O_CREAT, 0600);
        if (file < 0 || ftruncate(file, sizeof(std::int64_t)) != 0) {
            throw std::runtime_error("cannot make " + path());
        }
        void* mapped =
            mmap(nullptr, sizeof(std::int64_t), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        close(file);
        if (mapped == MAP_FAILED) {
            throw std::runtime_error("cannot map " + path());
        }
        shift_ = static_cast<volatile std::int64_t*>(mapped);
    }
    ~RedisClock() { munmap(const_cast<std::int64_t*>(shift_), sizeof(std::int64_t)); }
    RedisClock(const RedisClock&) = delete;
    RedisClock& operator=(const RedisClock&) = delete;

    // For the redis-server.
    std::map<std::string, std::string> environment() const {
        return {{"LD_PRELOAD", program("clock_shim.so")}, {"CLOCK_SHIM_FILE", path()}};
    }

    // Steps on top of what it has been set by so far.
    void set(std::chrono::nanoseconds by) { *shift_ = *shift_ + by.count(); }

private:
    std::string path() const { return directory_.file("clock"); }

    TempDir directory_;
    volatile std::int64_t* shift_;
};

}  // namespace holdfast::test
