#include "fixture.hpp"

#include "grpc/health/v1/health.grpc.pb.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <grpcpp/create_channel.h>

#include <algorithm>
#include <csignal>
#include <sstream>

namespace holdfast::e2e {

std::map<std::string, std::string> short_memory() {
    return {{"HOLDFAST_LIMITS_MAX_TTL", "1s"}, {"HOLDFAST_LIMITS_DEFAULT_TTL", "1s"}};
}

Daemon::Daemon(std::vector<std::string> arguments,
               const std::map<std::string, std::string>& environment,
               bool wait)
    : port_(test::free_port()), http_port_(test::free_port()), environment_(environment) {
    command_line_ = {program("holdfastd"),
                     "--listen",
                     address(),
                     "--admin",
                     "127.0.0.1:" + std::to_string(http_port_)};
    command_line_.insert(command_line_.end(), arguments.begin(), arguments.end());
    const bool has_store =
        std::find(arguments.begin(), arguments.end(), "--store") != arguments.end();
    if (has_store && !environment.contains("HOLDFAST_STORE_ASSUME_NEW")) {
        command_line_.emplace_back("--assume-new-store");  // a test's Redis is
    }
    start();
    if (wait) {
        const bool serves = wait_serving();
        const auto ended = process_->wait(0ms);
        EXPECT_TRUE(serves && !ended)
            << "serves: " << serves << ", ended: " << ended.value_or(-1) << '\n'
            << log();
    }
}

void Daemon::start() {
    process_ = std::make_unique<test::Process>(command_line_, directory_.file("log"), environment_);
}

void Daemon::kill_and_restart() {
    process_->kill_and_wait();
    start();
}

Daemon::~Daemon() {
    const auto code = process_->wait(0ms);
    const bool crashed = code == 128 + SIGSEGV || code == 128 + SIGABRT || code == 128 + SIGILL ||
                         code == 128 + SIGBUS || code == 128 + SIGFPE || code == 1;
    EXPECT_FALSE(crashed) << "holdfastd ended with " << *code << ":\n" << log();
}

bool Daemon::serving() const {
    namespace health = ::grpc::health::v1;
    const auto channel = grpc::CreateChannel(address(), grpc::InsecureChannelCredentials());
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + 10s);
    health::HealthCheckRequest request;
    request.set_service("holdfast.v1.LockService");
    health::HealthCheckResponse response;
    return health::Health::NewStub(channel)->Check(&context, request, &response).ok() &&
           response.status() == health::HealthCheckResponse::SERVING;
}

bool Daemon::wait_serving(bool wanted) const {
    return eventually([&] { return serving() == wanted; }, 60s);
}

double Daemon::sample(const std::string& name) const {
    std::istringstream lines{http_get(http_port_, "/metrics")};
    for (std::string line; std::getline(lines, line);) {
        if (line.starts_with(name + " ")) {
            return std::stod(line.substr(name.size() + 1));
        }
    }
    return -1;
}

std::string http(int port, const std::string& request) {
    boost::asio::io_context context;
    boost::asio::ip::tcp::socket socket{context};
    socket.connect({boost::asio::ip::address_v4::loopback(), static_cast<std::uint16_t>(port)});
    boost::asio::write(socket, boost::asio::buffer(request));
    std::string answer;
    boost::system::error_code closed;
    boost::asio::read(socket, boost::asio::dynamic_buffer(answer), closed);
    return answer;
}

Answer answer_of(const grpc::Status& status) {
    Answer answer{status, "", "", {}};
    google::rpc::Status details;
    details.ParseFromString(status.error_details());
    google::rpc::ErrorInfo info;
    google::rpc::BadRequest bad;
    for (const auto& detail : details.details()) {
        if (detail.UnpackTo(&info)) {
            answer.reason = info.reason();
            answer.metadata = {info.metadata().begin(), info.metadata().end()};
            EXPECT_EQ(info.domain(), "holdfast");
        } else if (detail.UnpackTo(&bad)) {
            answer.field = bad.field_violations(0).field();
        }
    }
    return answer;
}

Client::Client(const std::string& address) {
    grpc::ChannelArguments arguments;
    arguments.SetInt("grpc.use_local_subchannel_pool", 1);  // a connection of its own
    arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
    arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 10000);  // how long connecting may take
    arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 500);
    channel_ = grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
    stub_ = pb::LockService::NewStub(channel_);
}

pb::AcquireRequest Client::request(const std::string& name,
                                   std::chrono::milliseconds ttl,
                                   std::chrono::milliseconds wait) {
    pb::AcquireRequest request;
    request.set_name(name);
    request.set_ttl_ms(static_cast<std::uint64_t>(ttl.count()));
    request.set_wait_ms(static_cast<std::uint64_t>(wait.count()));
    request.set_owner("e2e");
    return request;
}

Answer Client::acquire(const pb::AcquireRequest& request, std::chrono::milliseconds timeout) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + timeout);
    pb::AcquireResponse response;
    const auto sent = Steady::now();
    const grpc::Status status = stub_->Acquire(&context, request, &response);
    if (status.ok()) {
        lease = response.lease();
        sent_at = sent;
    }
    return answer_of(status);
}

Answer Client::release(const std::string& lease_id) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + 10s);
    pb::ReleaseRequest request;
    request.set_lease_id(lease_id);
    return answer_of(stub_->Release(&context, request, &released));
}

Answer Client::renew(const std::string& lease_id, std::chrono::milliseconds ttl) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + 10s);
    pb::RenewRequest request;
    request.set_lease_id(lease_id);
    request.set_ttl_ms(static_cast<std::uint64_t>(ttl.count()));
    pb::RenewResponse response;
    const auto sent = Steady::now();
    const grpc::Status status = stub_->Renew(&context, request, &response);
    if (status.ok()) {
        lease = response.lease();
        sent_at = sent;
    }
    return answer_of(status);
}

Answer Client::get(const std::string& name) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + 10s);
    pb::GetLockRequest request;
    request.set_name(name);
    pb::GetLockResponse response;
    const grpc::Status status = stub_->GetLock(&context, request, &response);
    lock = response.lock();
    return answer_of(status);
}

Outcome run_program(const std::vector<std::string>& arguments,
                    const std::map<std::string, std::string>& environment) {
    const test::TempDir directory;
    test::Process process{arguments, directory.file("out"), environment};
    const auto code = process.wait(30s);
    return {code.value_or(-1), test::read_file(directory.file("out"))};
}

}  // namespace holdfast::e2e
