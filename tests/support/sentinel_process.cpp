#include "support/sentinel_process.hpp"

#include "support/redis_process.hpp"

#include <fstream>
#include <stdexcept>

namespace holdfast::test {

SentinelProcess::SentinelProcess(std::vector<std::string> config, int port) : port_(port) {
    const std::string path = directory_.file("sentinel.conf");
    {
        std::ofstream file{path};
        file << "port " << port_ << "\nbind 127.0.0.1\nbind-source-addr " << kFrom << "\ndir "
             << directory_.path() << "\nsentinel announce-ip 127.0.0.1\n";
        for (const std::string& line : config) {
            file << line << '\n';
        }
    }
    process_ = std::make_unique<Process>(
        std::vector<std::string>{"redis-server", path, "--sentinel"}, directory_.file("log"));
    if (!eventually([this] { return run({"PING"}) == "PONG"; })) {
        throw std::runtime_error("the Sentinel did not start: " + log());
    }
}

std::string SentinelProcess::run(const std::vector<std::string>& arguments) const {
    return run_redis(port_, arguments);
}

}  // namespace holdfast::test
