#pragma once

// A decoded RESP value, and the reader that makes them from bytes. Both wrap hiredis, which no
// other header of ours names.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

struct redisReply;
struct redisReader;

namespace holdfast::redis {

// A value inside of a Reply; valid as long as that is. Asking for the wrong type gives the empty
// value (0, "", no elements): check the type where it matters.
class Value {
public:
    explicit Value(const redisReply* raw) : raw_(raw) {}

    bool is_error() const;
    bool is_nil() const;
    bool is_integer() const;
    bool is_string() const;  // bulk or status
    bool is_array() const;

    std::int64_t integer() const;
    std::string_view text() const;              // of a string or an error
    std::size_t size() const;                   // of an array
    Value operator[](std::size_t index) const;  // a nil beyond the end

private:
    const redisReply* raw_;
};

// Owns a whole reply.
class Reply {
public:
    explicit Reply(redisReply* raw);
    Value value() const { return Value{raw_.get()}; }
    const Value* operator->() const { return &view_; }

private:
    struct Free {
        void operator()(redisReply* raw) const;
    };
    std::unique_ptr<redisReply, Free> raw_;
    Value view_;
};

// Cuts a stream of bytes into replies. Bounds what a broken or hostile server can make us hold.
class ReplyReader {
public:
    static constexpr std::size_t kMaxReplyBytes = 64 << 20;
    static constexpr std::size_t kMaxArrayElements = 1 << 20;

    ReplyReader();
    ~ReplyReader();
    ReplyReader(const ReplyReader&) = delete;
    ReplyReader& operator=(const ReplyReader&) = delete;

    // False if the bytes are no RESP or a bound was passed; the reader is of no use then.
    bool feed(std::string_view bytes);
    // The next whole reply, if there is one. Sets `broken` if the bytes are no RESP.
    std::optional<Reply> next(bool& broken);

private:
    struct Raw;
    std::unique_ptr<Raw> raw_;
    std::size_t since_last_ = 0;  // bytes fed since the last whole reply
};

}  // namespace holdfast::redis
