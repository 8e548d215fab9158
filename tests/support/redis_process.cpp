#include "support/redis_process.hpp"

#include <hiredis/hiredis.h>

#include <stdexcept>
#include <sys/time.h>

namespace holdfast::test {
namespace {

std::string as_text(const redisReply* reply) {
    switch (reply->type) {
        case REDIS_REPLY_INTEGER:
            return std::to_string(reply->integer);
        case REDIS_REPLY_NIL:
            return "(nil)";
        case REDIS_REPLY_ARRAY: {
            std::string text;
            for (std::size_t i = 0; i < static_cast<std::size_t>(reply->elements); ++i) {
                text += (i > 0 ? "\n" : "") + as_text(reply->element[i]);
            }
            return text;
        }
        default:
            return {reply->str, static_cast<std::size_t>(reply->len)};
    }
}

constexpr timeval kPatience{20, 0};

// Takes over the connection.
std::string run_on(redisContext* connection, const std::vector<std::string>& arguments) {
    const std::unique_ptr<redisContext, void (*)(redisContext*)> context{connection, redisFree};
    if (!context || context->err != 0) {
        return {};
    }
    redisSetTimeout(context.get(), kPatience);
    std::vector<const char*> texts;
    std::vector<std::size_t> sizes;
    for (const std::string& argument : arguments) {
        texts.push_back(argument.data());
        sizes.push_back(argument.size());
    }
    auto* reply = static_cast<redisReply*>(redisCommandArgv(
        context.get(), static_cast<int>(texts.size()), texts.data(), sizes.data()));
    if (reply == nullptr) {
        return {};
    }
    std::string text = as_text(reply);
    freeReplyObject(reply);
    return text;
}

}  // namespace

RedisProcess::RedisProcess(std::vector<std::string> extra,
                           std::map<std::string, std::string> environment)
    : extra_(std::move(extra)),
      environment_(std::move(environment)),
      socket_(directory_.file("redis.sock")),
      port_(free_port()) {
    start();
}

void RedisProcess::start() {
    std::vector<std::string> arguments{"redis-server",
                                       "--port",
                                       std::to_string(port_),
                                       "--bind",
                                       "127.0.0.1",
                                       "--unixsocket",
                                       socket_,
                                       "--save",
                                       "",
                                       "--enable-debug-command",
                                       "yes",
                                       "--dir",
                                       directory_.path()};
    arguments.insert(arguments.end(), extra_.begin(), extra_.end());
    process_ = std::make_unique<Process>(arguments, directory_.file("redis.log"), environment_);
    const bool up = eventually([this] { return run({"PING"}) != ""; });
    if (!up) {
        throw std::runtime_error("redis-server did not start: " +
                                 read_file(directory_.file("redis.log")));
    }
}

void RedisProcess::restart_empty() {
    process_->kill_and_wait();
    start();
}

std::string RedisProcess::run(const std::vector<std::string>& arguments) const {
    return run_on(redisConnectUnixWithTimeout(socket_.c_str(), kPatience), arguments);
}

std::string run_redis(int port, const std::vector<std::string>& arguments) {
    return run_on(redisConnectWithTimeout("127.0.0.1", port, kPatience), arguments);
}

}  // namespace holdfast::test
