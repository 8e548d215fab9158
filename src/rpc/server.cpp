#include "rpc/server.hpp"

#include "holdfast/v1/admin_service.grpc.pb.h"
#include "holdfast/v1/lock_service.grpc.pb.h"
#include "rpc/admin_handlers.hpp"
#include "rpc/handlers.hpp"
#include "rpc/health.hpp"

#include <absl/synchronization/mutex.h>
#include <google/protobuf/stubs/logging.h>
#include <grpc/grpc.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <chrono>
#include <future>
#include <thread>
#include <utility>

namespace holdfast::rpc {
namespace {

// Calls armed for each method on each queue: so many can arrive while the queue's thread is busy.
constexpr int kArmedOften = 64;  // Acquire, Release, Renew and the like
constexpr int kArmedRarely = 4;
// The largest valid unary request has 64 names, or a lease id of as many; a session sends batches.
constexpr int kMaxRequestBytes = 1024 * 1024;
// How soon a client that vanished without a word is noticed: ping after so long, and as long again
// for the answer.
constexpr int kKeepaliveMs = 5000;
constexpr int kMinClientPingMs = 1000;
constexpr int kMaxStreamsPerConnection = 100'000;
// For how long a connection that carries no call may take to end when the server stops.
constexpr std::chrono::milliseconds kGoodbye{500};

using LockService =
    v1::LockService::WithAsyncMethod_Acquire<v1::LockService::WithAsyncMethod_Release<
        v1::LockService::WithAsyncMethod_Renew<v1::LockService::WithAsyncMethod_GetLock<
            v1::LockService::WithAsyncMethod_ListLocks<v1::LockService::WithAsyncMethod_Validate<
                v1::LockService::WithAsyncMethod_Hold<v1::LockService::WithAsyncMethod_Session<
                    v1::LockService::WithAsyncMethod_Convert<v1::LockService::WithAsyncMethod_Watch<
                        v1::LockService::WithAsyncMethod_AcquireAll<
                            v1::LockService::Service>>>>>>>>>>>;
using AdminService = v1::AdminService::WithAsyncMethod_GetStatus<
    v1::AdminService::WithAsyncMethod_Revoke<v1::AdminService::WithAsyncMethod_ForceRelease<
        v1::AdminService::WithAsyncMethod_Explain<v1::AdminService::WithAsyncMethod_ListSessions<
            v1::AdminService::WithAsyncMethod_Drain<v1::AdminService::Service>>>>>>;

// A Request...() of the generated service; each is a member of another of its mix-ins.
template <class MixIn, class Request, class Response>
using Ask = void (MixIn::*)(grpc::ServerContext*,
                            Request*,
                            grpc::ServerAsyncResponseWriter<Response>*,
                            grpc::CompletionQueue*,
                            grpc::ServerCompletionQueue*,
                            void*);
template <class Who, class Request, class Response>
using Handle = void (Who::*)(std::shared_ptr<UnaryCall<Request, Response>>);

template <class Service, class MixIn, class Who, class Request, class Response>
Method<Request, Response> method(Service& service,
                                 Ask<MixIn, Request, Response> ask,
                                 Who& handlers,
                                 Handle<Who, Request, Response> handle,
                                 std::size_t index,
                                 bool waits = false) {
    return {index,
            [&service, ask](auto* context, auto* request, auto* writer, auto* queue, void* tag) {
                (service.*ask)(context, request, writer, queue, queue, tag);
            },
            [&handlers, handle](auto call) { (handlers.*handle)(std::move(call)); },
            waits};
}

}  // namespace

const std::array<std::string_view, 17> kStatusCodes{"OK",
                                                    "CANCELLED",
                                                    "UNKNOWN",
                                                    "INVALID_ARGUMENT",
                                                    "DEADLINE_EXCEEDED",
                                                    "NOT_FOUND",
                                                    "ALREADY_EXISTS",
                                                    "PERMISSION_DENIED",
                                                    "RESOURCE_EXHAUSTED",
                                                    "FAILED_PRECONDITION",
                                                    "ABORTED",
                                                    "OUT_OF_RANGE",
                                                    "UNIMPLEMENTED",
                                                    "INTERNAL",
                                                    "UNAVAILABLE",
                                                    "DATA_LOSS",
                                                    "UNAUTHENTICATED"};

struct Server::Impl {
    Impl(const ServerSettings& wanted,
         const core::Clock& time,
         const core::Limits& limits,
         core::Shards& all_shards)
        : settings(wanted),
          shards(all_shards),
          handlers(time, limits, shards, streams),
          admin_handlers(time, shards, streams, wanted.admin),
          shared{
              time, gate, [this](std::size_t method, grpc::StatusCode code, core::Duration took) {
                  if (method < kMethods.size()) {  // not the probes
                      settings.on_answer(method, static_cast<std::size_t>(code), took);
                  }
              }} {}

    void build();
    void arm_all(Queue& queue);
    template <class MethodType>
    void arm(const MethodType& what, Queue& queue, int calls) {
        for (int i = 0; i < calls; ++i) {
            MethodType::Call::arm(what, shared, queue);
        }
    }

    ServerSettings settings;
    core::Shards& shards;
    Streams streams;
    Handlers handlers;
    AdminHandlers admin_handlers;
    Gate gate;
    CallContext shared;
    Health health{{"", "holdfast.v1.LockService", "holdfast.v1.AdminService"}};
    LockService service;
    AdminService admin;
    Method<v1::AcquireRequest, v1::AcquireResponse> acquire = method(service,
                                                                     &LockService::RequestAcquire,
                                                                     handlers,
                                                                     &Handlers::acquire,
                                                                     method_index("Acquire"),
                                                                     true);
    Method<v1::ReleaseRequest, v1::ReleaseResponse> release = method(service,
                                                                     &LockService::RequestRelease,
                                                                     handlers,
                                                                     &Handlers::release,
                                                                     method_index("Release"));
    Method<v1::RenewRequest, v1::RenewResponse> renew = method(
        service, &LockService::RequestRenew, handlers, &Handlers::renew, method_index("Renew"));
    Method<v1::GetLockRequest, v1::GetLockResponse> get_lock = method(service,
                                                                      &LockService::RequestGetLock,
                                                                      handlers,
                                                                      &Handlers::get_lock,
                                                                      method_index("GetLock"));
    Method<v1::ListLocksRequest, v1::ListLocksResponse> list_locks =
        method(service,
               &LockService::RequestListLocks,
               handlers,
               &Handlers::list_locks,
               method_index("ListLocks"));
    Method<v1::ValidateRequest, v1::ValidateResponse> validate =
        method(service,
               &LockService::RequestValidate,
               handlers,
               &Handlers::validate,
               method_index("Validate"));
    Method<v1::ConvertRequest, v1::ConvertResponse> convert = method(service,
                                                                     &LockService::RequestConvert,
                                                                     handlers,
                                                                     &Handlers::convert,
                                                                     method_index("Convert"),
                                                                     true);
    Method<v1::GetStatusRequest, v1::GetStatusResponse> get_status =
        method(admin,
               &AdminService::RequestGetStatus,
               admin_handlers,
               &AdminHandlers::get_status,
               method_index("GetStatus"));
    Method<v1::RevokeRequest, v1::RevokeResponse> revoke = method(admin,
                                                                  &AdminService::RequestRevoke,
                                                                  admin_handlers,
                                                                  &AdminHandlers::revoke,
                                                                  method_index("Revoke"));
    Method<v1::ForceReleaseRequest, v1::ForceReleaseResponse> force_release =
        method(admin,
               &AdminService::RequestForceRelease,
               admin_handlers,
               &AdminHandlers::force_release,
               method_index("ForceRelease"));
    Method<v1::AcquireAllRequest, v1::AcquireAllResponse> acquire_all =
        method(service,
               &LockService::RequestAcquireAll,
               handlers,
               &Handlers::acquire_all,
               method_index("AcquireAll"),
               true);
    Method<v1::ExplainRequest, v1::ExplainResponse> explain = method(admin,
                                                                     &AdminService::RequestExplain,
                                                                     admin_handlers,
                                                                     &AdminHandlers::explain,
                                                                     method_index("Explain"));
    Method<v1::ListSessionsRequest, v1::ListSessionsResponse> list_sessions =
        method(admin,
               &AdminService::RequestListSessions,
               admin_handlers,
               &AdminHandlers::list_sessions,
               method_index("ListSessions"));
    Method<v1::DrainRequest, v1::DrainResponse> drain = method(admin,
                                                               &AdminService::RequestDrain,
                                                               admin_handlers,
                                                               &AdminHandlers::drain,
                                                               method_index("Drain"));
    HoldCall::MethodType hold{
        method_index("Hold"),
        [this](auto* context, auto* request, auto* writer, auto* queue, void* tag) {
            service.RequestHold(context, request, writer, queue, queue, tag);
        },
        [this](auto call) { handlers.hold(std::move(call)); }};
    SessionCall::MethodType session{
        method_index("Session"),
        [this](auto* context, auto*, auto* wire, auto* queue, void* tag) {
            service.RequestSession(context, wire, queue, queue, tag);
        },
        [this](auto call) { handlers.session(std::move(call)); },
        &Session::merge};
    WatchCall::MethodType watch{
        method_index("Watch"),
        [this](auto* context, auto* request, auto* writer, auto* queue, void* tag) {
            service.RequestWatch(context, request, writer, queue, queue, tag);
        },
        [this](auto call) { handlers.watch(std::move(call)); }};
    Health::WatchCall::MethodType watch_health{
        kMethods.size(),
        [this](auto* context, auto* request, auto* writer, auto* queue, void* tag) {
            health.service().RequestWatch(context, request, writer, queue, queue, tag);
        },
        [this](const auto& call) { health.watch(call); }};
    Method<Health::Request, Health::Response> check{
        kMethods.size(),
        [this](auto* context, auto* request, auto* writer, auto* queue, void* tag) {
            health.service().RequestCheck(context, request, writer, queue, queue, tag);
        },
        [this](const auto& call) { health.check(call); }};
    std::vector<std::string> bound;
    std::vector<std::unique_ptr<Queue>> queues;
    std::unique_ptr<grpc::Server> server;
    std::vector<std::thread> threads;
};

void Server::Impl::build() {
    // Protobuf would print a line of its own for each malformed message: the client is told, and a
    // stranger must not be able to flood our stderr.
    google::protobuf::SetLogHandler(nullptr);
    // Debian's absl looks for deadlocks at each lock that gRPC takes, as debug builds do.
    absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
    grpc::EnableDefaultHealthCheckService(false);  // ours is in health.hpp
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
    grpc::ServerBuilder builder;
    std::vector<int> ports(settings.listen.size(), 0);
    for (std::size_t i = 0; i < settings.listen.size(); ++i) {
        builder.AddListeningPort(settings.listen[i], grpc::InsecureServerCredentials(), &ports[i]);
    }
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);  // a port in use is an error
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveMs);
    builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                               kMinClientPingMs);
    builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMaxStreamsPerConnection);
    builder.SetMaxReceiveMessageSize(kMaxRequestBytes);
    builder.SetSyncServerOption(grpc::ServerBuilder::NUM_CQS, 1);
    builder.SetSyncServerOption(grpc::ServerBuilder::MIN_POLLERS, 1);
    builder.SetSyncServerOption(grpc::ServerBuilder::MAX_POLLERS, 2);
    builder.RegisterService(&service);
    builder.RegisterService(&admin);
    builder.RegisterService(&health.service());
    for (std::size_t i = 0; i < settings.queues; ++i) {
        queues.push_back(std::make_unique<Queue>(builder.AddCompletionQueue()));
    }
    server = builder.BuildAndStart();
    for (std::size_t i = 0; i < ports.size(); ++i) {
        const std::string& wanted = settings.listen[i];
        if (ports[i] == 0 || !server) {
            throw CannotListen("cannot listen on " + wanted +
                               ": in use, not permitted, or not an address of this machine");
        }
        const bool is_unix = wanted.rfind("unix:", 0) == 0;
        bound.push_back(
            is_unix ? wanted : wanted.substr(0, wanted.rfind(':') + 1) + std::to_string(ports[i]));
    }
}

void Server::Impl::arm_all(Queue& queue) {
    arm(acquire, queue, kArmedOften);
    arm(release, queue, kArmedOften);
    arm(renew, queue, kArmedOften);
    arm(convert, queue, kArmedRarely);
    arm(get_lock, queue, kArmedRarely);
    arm(list_locks, queue, kArmedRarely);
    arm(validate, queue, kArmedRarely);
    arm(check, queue, kArmedRarely);
    arm(get_status, queue, kArmedRarely);
    arm(acquire_all, queue, kArmedOften);
    arm(explain, queue, kArmedRarely);
    arm(list_sessions, queue, kArmedRarely);
    arm(drain, queue, kArmedRarely);
    arm(hold, queue, kArmedOften);
    arm(session, queue, kArmedRarely);
    arm(watch, queue, kArmedRarely);
    arm(revoke, queue, kArmedRarely);
    arm(force_release, queue, kArmedRarely);
    arm(watch_health, queue, kArmedRarely);
}

Server::Server(const ServerSettings& settings,
               const core::Clock& clock,
               const core::Limits& limits,
               core::Shards& shards)
    : impl_(std::make_unique<Impl>(settings, clock, limits, shards)) {}

Server::~Server() {
    stop(core::Milliseconds{0});
}

void Server::start() {
    try {
        impl_->build();
    } catch (const CannotListen&) {
        // A queue must be empty before it is destroyed.
        if (impl_->server) {
            impl_->server->Shutdown();
            impl_->server.reset();
        }
        for (const auto& queue : impl_->queues) {
            queue->grpc->Shutdown();
            void* tag = nullptr;
            for (bool ok = false; queue->grpc->Next(&tag, &ok);) {
            }
        }
        impl_->queues.clear();
        throw;
    }
    for (const auto& queue : impl_->queues) {
        impl_->arm_all(*queue);
        impl_->threads.emplace_back(
            [&queue = *queue, &shards = impl_->shards] { queue.turn(shards); });
    }
}

std::vector<std::string> Server::addresses() const {
    return impl_->bound;
}

void Server::set_serving(bool serving) {
    impl_->health.set_serving(serving);
}

core::PeerAnswer Server::streams(std::size_t most) const {
    auto listing = impl_->streams.list(impl_->shared.clock.now(), most);
    core::PeerAnswer answer;
    answer.streams = std::move(listing.streams);
    answer.cut = listing.cut;
    return answer;
}

void Server::stop(core::Milliseconds grace) {
    if (!impl_->server || impl_->threads.empty()) {
        return;
    }
    // Says goodbye on every connection, takes no new call, and waits for all connections to end: a
    // client that is idle, or watches our health, may not end its own for long. So that is cut short
    // once no call of ours is open.
    auto goodbye = std::async(std::launch::async, [this, grace] {
        impl_->server->Shutdown(std::chrono::system_clock::now() + grace);
    });
    impl_->health.close();
    impl_->handlers.drain();
    impl_->gate.close();
    if (goodbye.wait_for(kGoodbye) != std::future_status::ready) {
        grpc_server_cancel_all_calls(impl_->server->c_server());
    }
    goodbye.get();
    for (const auto& queue : impl_->queues) {
        queue->grpc->Shutdown();
    }
    for (std::thread& thread : impl_->threads) {
        thread.join();
    }
    impl_->threads.clear();
}

}  // namespace holdfast::rpc
