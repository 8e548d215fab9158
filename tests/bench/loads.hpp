#pragma once

// Load on what Holdfast is compared with. Each prints the JSON that `holdfast -o json bench` prints.

#include <chrono>
#include <cstddef>
#include <string>

namespace holdfast::bench {

void load_echo(const std::string& address, std::size_t clients, std::chrono::milliseconds duration);

// `locks`: that the clients contend for; 0: each its own.
void load_etcd(const std::string& address,
               std::size_t clients,
               std::size_t locks,
               std::chrono::milliseconds duration);

}  // namespace holdfast::bench
