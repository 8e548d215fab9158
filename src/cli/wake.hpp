#pragma once

// Wakes a thread that waits in poll(): an eventfd.

namespace holdfast::cli {

class Wake {
public:
    Wake();  // throws std::system_error
    ~Wake();
    Wake(const Wake&) = delete;
    Wake& operator=(const Wake&) = delete;

    int fd() const { return fd_; }  // readable after set(), until clear()
    void set() const;               // from any thread
    void clear() const;

private:
    int fd_;
};

}  // namespace holdfast::cli
