// Takes a lock, keeps it, gives it back: Holdfast from C++.
//
//   take_lock [ADDRESS [NAME]]

#include "holdfast/v1/lock_service.grpc.pb.h"

#include <grpcpp/create_channel.h>

#include <chrono>
#include <ctime>
#include <iostream>
#include <random>
#include <stdexcept>
#include <string>

namespace api = holdfast::v1;

namespace {

constexpr std::chrono::seconds kTimeout{10};

// Goes on while the machine sleeps, as a lease does.
std::chrono::nanoseconds now() {
    timespec time{};
    clock_gettime(CLOCK_BOOTTIME, &time);
    return std::chrono::seconds{time.tv_sec} + std::chrono::nanoseconds{time.tv_nsec};
}

// Counted from before the request was sent: whatever time the answer took is lost, not won.
std::chrono::nanoseconds believe_until(std::chrono::nanoseconds sent_at, const api::Lease& lease) {
    return sent_at + std::chrono::milliseconds{lease.elapsed_ms() + lease.safe_for_ms()};
}

std::string random_bytes() {
    std::random_device device;
    std::string bytes(32, '\0');
    for (char& byte : bytes) {
        byte = static_cast<char>(device());
    }
    return bytes;
}

template <class Method, class Request, class Response>
void call(api::LockService::Stub& locks,
          Method method,
          const Request& request,
          Response& response) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kTimeout);
    const grpc::Status status = (locks.*method)(&context, request, &response);
    if (!status.ok()) {
        throw std::runtime_error(status.error_message());
    }
}

void take_lock(const std::string& address, const std::string& name) {
    using Stub = api::LockService::Stub;
    const auto locks =
        api::LockService::NewStub(grpc::CreateChannel(address, grpc::InsecureChannelCredentials()));

    api::AcquireRequest request;
    request.set_name(name);
    request.set_ttl_ms(10'000);
    request.set_wait_ms(5'000);
    request.set_owner("c++");
    request.set_request_id(random_bytes());  // so that it may be sent again if no answer comes
    api::AcquireResponse acquired;
    call(*locks, &Stub::Acquire, request, acquired);
    std::cout << "token " << acquired.lease().fencing_token()
              << '\n';  // for what the lock protects

    // ... work; renew when a third of the ttl has passed, and before a step that matters ...
    api::RenewRequest renewal;
    renewal.set_lease_id(acquired.lease().lease_id());
    renewal.set_ttl_ms(10'000);
    api::RenewResponse renewed;
    const auto sent_at = now();
    call(*locks, &Stub::Renew, renewal, renewed);
    const auto left = believe_until(sent_at, renewed.lease()) - now();
    std::cout << "mine for " << std::chrono::round<std::chrono::seconds>(left).count()
              << " s more\n";

    api::ReleaseRequest release;
    release.set_lease_id(acquired.lease().lease_id());
    api::ReleaseResponse released;
    call(*locks, &Stub::Release, release, released);
    std::cout << "released: " << api::Verdict_Name(released.verdict()) << '\n';
}

}  // namespace

int main(int argc, char** argv) {
    try {
        take_lock(argc > 1 ? argv[1] : "127.0.0.1:7420", argc > 2 ? argv[2] : "cpp-demo");
        return 0;
    } catch (const std::exception& error) {
        std::cerr << error.what() << '\n';
        return 1;
    }
}
