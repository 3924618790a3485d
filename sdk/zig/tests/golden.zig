//! weir.zig against the contract's golden vectors, and against what no host would send:
//!
//!     zig test --dep weir -Mroot=sdk/zig/tests/golden.zig -Mweir=sdk/zig/weir.zig
//!
//! from the root of the tree.

const std = @import("std");
const testing = std.testing;
const weir = @import("weir");

/// The bytes of a vector of the contract's file.
fn golden(arena: std.mem.Allocator, name: []const u8) ![]const u8 {
    const text = try std.fs.cwd().readFileAlloc(arena, "runtime/engine/testdata/wire.txt", 1 << 20);
    var lines = std.mem.tokenizeScalar(u8, text, '\n');
    while (lines.next()) |line| {
        if (line[0] == '#') continue;
        const colon = std.mem.indexOfScalar(u8, line, ':').?;
        if (!std.mem.eql(u8, line[0..colon], name)) continue;
        const digits = std.mem.trim(u8, line[colon + 1 ..], " ");
        return std.fmt.hexToBytes(try arena.alloc(u8, digits.len / 2), digits);
    }
    return error.NoSuchVector;
}

fn expectAnswer(comptime transform: anytype, vector: []const u8) !void {
    var arena: std.heap.ArenaAllocator = .init(testing.allocator);
    defer arena.deinit();
    const event = try golden(arena.allocator(), "event-plain");
    const expected = try golden(arena.allocator(), vector);
    try testing.expectEqualSlices(u8, expected, try weir.answerTo(transform, event));
}

fn expectReason(comptime transform: anytype, comptime reason: []const u8) !void {
    var arena: std.heap.ArenaAllocator = .init(testing.allocator);
    defer arena.deinit();
    const answer = try weir.answerTo(transform, try golden(arena.allocator(), "event-plain"));
    try testing.expectEqualStrings(reason, answer[answer.len - reason.len ..]);
    try testing.expectEqualSlices(u8, "\x92\x01", answer[0..2]);
}

test "events are read" {
    var arena: std.heap.ArenaAllocator = .init(testing.allocator);
    defer arena.deinit();
    const memory = arena.allocator();
    const plain = try weir.readEvent(memory, try golden(memory, "event-plain"));
    try testing.expectEqualStrings("orders.new", plain.subject);
    try testing.expectEqualStrings("hello", plain.payload);
    try testing.expectEqual(3, plain.headers.len);
    try testing.expectEqualStrings("2", plain.headers[1].value);
    try testing.expectEqualStrings("1", plain.header("a").?);
    try testing.expectEqualStrings("", plain.header("b").?);
    try testing.expectEqual(null, plain.header("A"));
    try testing.expectEqual(7, plain.sequence);
    try testing.expectEqual(1_700_000_000_000_000_000, plain.timestamp_ns);

    const empty = try weir.readEvent(memory, try golden(memory, "event-empty"));
    try testing.expectEqual(0, empty.payload.len + empty.headers.len);

    const large = try weir.readEvent(memory, try golden(memory, "event-long"));
    try testing.expectEqualSlices(u8, &(.{0xff} ** 300), large.payload);
    try testing.expectEqual(65536, large.sequence);
    try testing.expectEqual(std.math.maxInt(u64), large.timestamp_ns);
}

test "damaged events are refused or read, never beyond their end" {
    var arena: std.heap.ArenaAllocator = .init(testing.allocator);
    defer arena.deinit();
    inline for (.{ "event-plain", "event-empty", "event-long" }) |name| {
        const whole = try golden(arena.allocator(), name);
        for (0..whole.len) |length| {
            try testing.expectError(error.Malformed, weir.readEvent(arena.allocator(), whole[0..length]));
        }
        const altered = try arena.allocator().dupe(u8, whole);
        for (altered, whole) |*byte, before| {
            for (0..256) |value| {
                byte.* = @intCast(value);
                _ = weir.readEvent(arena.allocator(), altered) catch |err| {
                    try testing.expectEqual(error.Malformed, err);
                };
            }
            byte.* = before;
        }
    }
}

test "answers are written" {
    try expectAnswer(struct {
        fn none(_: weir.Event, _: *weir.Answer) !void {}
    }.none, "answer-none");
    try expectAnswer(struct {
        fn refuses(_: weir.Event, answer: *weir.Answer) !void {
            try answer.send(.{ .payload = "lost" });
            return weir.reject("no {s}", .{"amount"});
        }
    }.refuses, "answer-reject");
    try expectAnswer(struct {
        fn two(event: weir.Event, answer: *weir.Answer) !void {
            try answer.send(.{
                .subject = "out.a",
                .payload = event.payload,
                .headers = &.{.{ .name = "k", .value = "v" }},
            });
            try answer.send(.{});
        }
    }.two, "answer-two");
}

test "every length is written in its form" {
    inline for (.{ 0, 1, 31, 32, 255, 256, 65535, 65536, 1 << 20 }) |length| {
        try expectSize(length, 1);
    }
    inline for (.{ 0, 1, 15, 16, 65535, 65536 }) |count| try expectSize(0, count);
}

/// The answer of `count` messages of `length` bytes has the size that the shortest forms come to.
fn expectSize(comptime length: usize, comptime count: usize) !void {
    const transform = struct {
        fn send(event: weir.Event, answer: *weir.Answer) !void {
            const payload = try event.arena.alloc(u8, length);
            @memset(payload, 'x');
            for (0..count) |_| try answer.send(.{ .payload = payload });
        }
    }.send;
    var arena: std.heap.ArenaAllocator = .init(testing.allocator);
    defer arena.deinit();
    const answer = try weir.answerTo(transform, try golden(arena.allocator(), "event-empty"));
    const field = length + @as(usize, if (length < 256) 2 else if (length < 65536) 3 else 5);
    const head: usize = if (count < 16) 1 else if (count < 65536) 3 else 5;
    try testing.expectEqual(2 + head + count * (3 + field), answer.len);
}

test "errors are reasons" {
    try expectReason(struct {
        fn fails(_: weir.Event, _: *weir.Answer) !void {
            _ = try std.fmt.parseInt(u8, "x", 10);
        }
    }.fails, "InvalidCharacter");
    try expectReason(struct {
        fn reads(event: weir.Event, _: *weir.Answer) !void {
            _ = try event.json(struct { n: u8 });
        }
    }.reads, "the payload is not as expected: SyntaxError at line 1, column 1");
}

test "a reason is text" {
    try expectReason(struct {
        fn refuses(_: weir.Event, _: *weir.Answer) !void {
            return weir.reject("a{s}b é", .{"\xff"});
        }
    }.refuses, "a\u{fffd}b é");
}

test "the configuration is read once, or refuses every event" {
    weir.test_config = "{\"suffix\":\"?\",\"times\":3}";
    try expectPayload(struct {
        fn send(_: weir.Event, answer: *weir.Answer) !void {
            const settings = try weir.config(struct { suffix: []const u8 = "!", times: u8 });
            try answer.sendJson(settings.*);
        }
    }.send, "{\"suffix\":\"?\",\"times\":3}");
    try expectReason(struct {
        fn send(_: weir.Event, _: *weir.Answer) !void {
            _ = try weir.config(struct { times: u8 });
        }
    }.send, "the configuration is not as expected: UnknownField at line 1, column 10");
}

fn expectPayload(comptime transform: anytype, payload: []const u8) !void {
    var arena: std.heap.ArenaAllocator = .init(testing.allocator);
    defer arena.deinit();
    for (0..2) |_| {
        const answer = try weir.answerTo(transform, try golden(arena.allocator(), "event-plain"));
        try testing.expectEqualStrings(payload, answer[answer.len - 1 - payload.len .. answer.len - 1]);
    }
}
