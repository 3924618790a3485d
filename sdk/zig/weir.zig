//! Write a transform for Weir in Zig: a function from one event to any number of messages, or to a reason why
//! the event is refused. One file, of which a copy lies in the project; written for Zig 0.15.
//!
//!     const std = @import("std");
//!     const weir = @import("weir.zig");
//!
//!     pub const panic = weir.panic;
//!     pub const std_options = weir.std_options;
//!
//!     comptime {
//!         weir.transform(shout);
//!     }
//!
//!     fn shout(event: weir.Event, answer: *weir.Answer) !void {
//!         if (event.payload.len == 0) return weir.reject("the payload is empty", .{});
//!         try answer.send(event.message(try std.ascii.allocUpperString(event.arena, event.payload)));
//!     }
//!
//! An error that the function returns refuses the event, with the error's name as the reason; `reject` has words
//! of its own. `error.OutOfMemory` and a panic are faults of the module. Compiled for another machine than
//! WebAssembly it works too, for `zig test`.

const builtin = @import("builtin");
const std = @import("std");

const Allocator = std.mem.Allocator;
const on_weir = builtin.cpu.arch.isWasm();

/// What goes into a transform. All of it stays where it is until the function has returned.
pub const Event = struct {
    subject: []const u8,
    payload: []const u8,
    /// In order; a name may come more than once.
    headers: []const Header,
    /// The event's place in the source, from 1.
    sequence: u64,
    /// When the source took it in, in nanoseconds since 1970.
    timestamp_ns: u64,
    /// Memory until the next event. Nothing has to be given back.
    arena: Allocator,

    /// A message with another payload and the headers of this event.
    pub fn message(event: Event, payload: []const u8) Message {
        return .{ .payload = payload, .headers = event.headers };
    }

    /// The first value of a header. Names are compared exactly.
    pub fn header(event: Event, name: []const u8) ?[]const u8 {
        for (event.headers) |found| if (std.mem.eql(u8, found.name, name)) return found.value;
        return null;
    }

    /// The payload, read as JSON; one that does not fit refuses the event, and says where. Fields that `T` does
    /// not have are passed over.
    pub fn json(event: Event, comptime T: type) Refusal!T {
        return parse(T, event.arena, event.payload, "the payload", .{ .ignore_unknown_fields = true });
    }
};

/// One header of an event or a message.
pub const Header = struct {
    name: []const u8,
    value: []const u8,
};

/// What comes out of a transform.
pub const Message = struct {
    /// Where it goes, which the pipeline has to allow; without one, where the pipeline's template says.
    subject: ?[]const u8 = null,
    payload: []const u8 = "",
    headers: []const Header = &.{},
};

/// How an event is refused, or ends for want of memory.
pub const Refusal = error{ Rejected, OutOfMemory };

/// Refuses the event for this reason: `return weir.reject("no order {d}", .{number})`. What was sent for
/// it is not.
pub fn reject(comptime format: []const u8, arguments: anytype) Refusal {
    state.reason = std.fmt.allocPrint(state.arena.allocator(), format, arguments) catch |err| return err;
    return error.Rejected;
}

/// Makes a function `fn (Event, *Answer) !void` the transform of this module.
pub fn transform(comptime function: anytype) void {
    if (!on_weir) return;
    const exports = struct {
        fn alloc(length: u32) callconv(.c) [*]u8 {
            state.arena.reset();
            const room = state.arena.allocator().alloc(u8, length) catch @panic("out of memory");
            return room.ptr;
        }

        fn process(at: [*]const u8, length: u32) callconv(.c) u64 {
            const bytes = answerTo(function, at[0..length]) catch @panic("out of memory");
            return @as(u64, @intFromPtr(bytes.ptr)) << 32 | bytes.len;
        }
    };
    @export(&exports.alloc, .{ .name = "weir_alloc" });
    @export(&exports.process, .{ .name = "weir_process" });
}

/// The step's configuration as a `T`, read once for each instance; none reads as `{}`. One that does not fit
/// refuses every event, and says where.
pub fn config(comptime T: type) Refusal!*const T {
    const kept = struct {
        var value: ?T = null;
    };
    if (kept.value == null) {
        const text = try configText();
        kept.value = try parse(T, backing, if (text.len == 0) "{}" else text, "the configuration", .{});
    }
    return &kept.value.?;
}

/// The step's configuration as it is: JSON text with sorted keys, empty where there is none.
pub fn configText() Allocator.Error![]const u8 {
    if (state.config == null) {
        const text = try backing.alloc(u8, host.config_len());
        // The place of no bytes need not be in memory.
        if (text.len > 0) host.config_read(text.ptr);
        state.config = text;
    }
    return state.config.?;
}

/// Writes a line to the node's log. Weir bounds what is kept for each event. `std.log` does the same where the
/// module's first file has `pub const std_options = weir.std_options;`.
pub fn log(level: std.log.Level, comptime format: []const u8, arguments: anytype) void {
    const text = std.fmt.allocPrint(state.arena.allocator(), format, arguments) catch format;
    logText(level, text);
}

/// Puts a panic's message into the reason of the trap: `pub const panic = weir.panic;`.
pub const panic = std.debug.FullPanic(struct {
    fn panicked(text: []const u8, _: ?usize) noreturn {
        @branchHint(.cold);
        logText(.err, text);
        @trap();
    }
}.panicked);

/// Sends the lines of `std.log` to Weir: `pub const std_options = weir.std_options;`.
pub const std_options: std.Options = .{ .log_level = .debug, .logFn = stdLog };

/// What the module's exports do, for tests: the answer of a transform to an event, both in MessagePack.
pub fn answerTo(comptime function: anytype, bytes: []const u8) Allocator.Error![]const u8 {
    const arena = state.arena.allocator();
    const event = readEvent(arena, bytes) catch |err| switch (err) {
        error.OutOfMemory => return error.OutOfMemory,
        error.Malformed => @panic("the event is not of the contract's shape"),
    };
    var answer: Answer = .{ .arena = arena };
    const ended: anyerror!void = function(event, &answer);
    ended catch |err| switch (err) {
        error.OutOfMemory => return error.OutOfMemory,
        error.Rejected => return answer.refuse(state.reason),
        else => return answer.refuse(@errorName(err)),
    };
    return answer.finish();
}

/// What is not an event of the contract's shape.
pub const Malformed = error{Malformed};

/// Reads an event, for tests; its text and bytes stay where they are.
pub fn readEvent(arena: Allocator, bytes: []const u8) (Malformed || Allocator.Error)!Event {
    const header_bytes_min = 3;
    var reader: Reader = .{ .rest = bytes };
    if (try reader.array() != 5) return error.Malformed;
    const subject = try reader.text();
    const payload = try reader.binary();
    const count = try reader.array();
    if (count > reader.rest.len / header_bytes_min) return error.Malformed;
    const headers = try arena.alloc(Header, count);
    for (headers) |*header| {
        if (try reader.array() != 2) return error.Malformed;
        header.* = .{ .name = try reader.text(), .value = try reader.text() };
    }
    const sequence = try reader.unsigned();
    const timestamp_ns = try reader.unsigned();
    if (reader.rest.len != 0) return error.Malformed;
    return .{
        .subject = subject,
        .payload = payload,
        .headers = headers,
        .sequence = sequence,
        .timestamp_ns = timestamp_ns,
        .arena = arena,
    };
}

/// What `configText` gives in `zig test`.
pub var test_config: []const u8 = "";

/// An answer in the making.
pub const Answer = struct {
    arena: Allocator,
    bytes: std.ArrayList(u8) = .empty,
    messages: u32 = 0,

    /// `[0, [` in its longest form: the number of messages is known last.
    const head_bytes = 7;
    const field_bytes = 5;

    /// Sends a message: all of it is copied, so that nothing of it has to stay.
    pub fn send(answer: *Answer, message: Message) Allocator.Error!void {
        var room = head_bytes + 1 + 3 * field_bytes + message.payload.len;
        if (message.subject) |subject| room += subject.len;
        for (message.headers) |header| room += 1 + 2 * field_bytes + header.name.len + header.value.len;
        // The first message takes what it needs: mostly there is no other.
        if (answer.messages == 0) {
            try answer.bytes.ensureTotalCapacityPrecise(answer.arena, room);
            answer.bytes.appendNTimesAssumeCapacity(0, head_bytes);
        } else {
            try answer.bytes.ensureUnusedCapacity(answer.arena, room);
        }
        answer.messages += 1;
        answer.array(3);
        if (message.subject) |subject| answer.text(subject) else answer.bytes.appendAssumeCapacity(0xc0);
        answer.length(0xc4, message.payload.len);
        answer.bytes.appendSliceAssumeCapacity(message.payload);
        answer.array(message.headers.len);
        for (message.headers) |header| {
            answer.array(2);
            answer.text(header.name);
            answer.text(header.value);
        }
    }

    /// Sends a value as compact JSON, without headers.
    pub fn sendJson(answer: *Answer, value: anytype) Allocator.Error!void {
        try answer.send(.{ .payload = try std.json.Stringify.valueAlloc(answer.arena, value, .{}) });
    }

    /// A reason often has bytes of the event in it: what is not UTF-8 is replaced.
    fn refuse(answer: *Answer, words: []const u8) Allocator.Error![]const u8 {
        const reason = if (std.unicode.utf8ValidateSlice(words))
            words
        else
            try std.fmt.allocPrint(answer.arena, "{f}", .{std.unicode.fmtUtf8(words)});
        answer.bytes.clearRetainingCapacity();
        try answer.bytes.ensureUnusedCapacity(answer.arena, 2 + field_bytes + reason.len);
        answer.array(2);
        answer.bytes.appendAssumeCapacity(1);
        answer.text(reason);
        return answer.bytes.items;
    }

    fn finish(answer: *Answer) Allocator.Error![]const u8 {
        if (answer.messages == 0) try answer.bytes.appendNTimes(answer.arena, 0, head_bytes);
        const whole = answer.bytes.items;
        const head: usize = if (answer.messages < 16) 3 else if (answer.messages < 1 << 16) 5 else 7;
        answer.bytes.items.len = head_bytes - head;
        answer.array(2);
        answer.bytes.appendAssumeCapacity(0);
        answer.array(answer.messages);
        return whole[head_bytes - head ..];
    }

    fn number(answer: *Answer, comptime T: type, value: usize) void {
        std.mem.writeInt(T, answer.bytes.addManyAsArrayAssumeCapacity(@sizeOf(T)), @intCast(value), .big);
    }

    fn array(answer: *Answer, count: usize) void {
        if (count < 16) return answer.bytes.appendAssumeCapacity(@intCast(0x90 | count));
        answer.bytes.appendAssumeCapacity(if (count < 1 << 16) 0xdc else 0xdd);
        if (count < 1 << 16) answer.number(u16, count) else answer.number(u32, count);
    }

    /// A length after one of three tags, by how many bytes it takes.
    fn length(answer: *Answer, tag: u8, value: usize) void {
        const size: u8 = if (value < 1 << 8) 0 else if (value < 1 << 16) 1 else 2;
        answer.bytes.appendAssumeCapacity(tag + size);
        switch (size) {
            0 => answer.number(u8, value),
            1 => answer.number(u16, value),
            else => answer.number(u32, value),
        }
    }

    fn text(answer: *Answer, value: []const u8) void {
        if (value.len < 32) {
            answer.bytes.appendAssumeCapacity(@intCast(0xa0 | value.len));
        } else {
            answer.length(0xd9, value.len);
        }
        answer.bytes.appendSliceAssumeCapacity(value);
    }
};

/// The memory of one event. Blocks stay from event to event, and are handed out anew from the first on. Mostly
/// there is one, which grows at its end.
const Arena = struct {
    first: ?*Block = null,
    current: ?*Block = null,
    next: usize = 0,

    const Block = struct { next: ?*Block, end: usize };
    const block_bytes_min = 64 << 10;

    fn allocator(arena: *Arena) Allocator {
        return .{ .ptr = arena, .vtable = &.{ .alloc = alloc, .resize = resize, .remap = remap, .free = free } };
    }

    fn reset(arena: *Arena) void {
        if (arena.first) |first| arena.enter(first);
    }

    fn enter(arena: *Arena, block: *Block) void {
        arena.current = block;
        arena.next = @intFromPtr(block) + @sizeOf(Block);
    }

    fn end(arena: *const Arena) usize {
        return if (arena.current) |block| block.end else 0;
    }

    fn alloc(context: *anyopaque, length: usize, alignment: std.mem.Alignment, _: usize) ?[*]u8 {
        const arena: *Arena = @ptrCast(@alignCast(context));
        const whole = std.math.add(usize, length, alignment.toByteUnits()) catch return null;
        // `next` is 0 while there is no block; subtracted, since a sum could overflow.
        if (arena.end() - arena.next < whole and !arena.more(whole)) return null;
        const start = alignment.forward(arena.next);
        arena.next = start + length;
        return @ptrFromInt(start);
    }

    /// Sees to it that the current block has `length` bytes left.
    fn more(arena: *Arena, length: usize) bool {
        while (arena.current) |block| {
            if (block.end - arena.next >= length) return true;
            arena.enter(block.next orelse break);
        }
        if (arena.current) |block| if (endsMemory(block)) {
            const taken = grow(length - (block.end - arena.next)) orelse return false;
            block.end += taken.len;
            return true;
        };
        // A power of two, so that blocks that are too small one after the other come to no more than the last.
        var whole: usize = block_bytes_min;
        while (whole - @sizeOf(Block) < length) whole = std.math.mul(usize, whole, 2) catch return false;
        const taken = grow(whole) orelse return false;
        const block: *Block = @ptrCast(@alignCast(taken.ptr));
        block.* = .{ .next = null, .end = @intFromPtr(taken.ptr) + taken.len };
        if (arena.current) |last| last.next = block else arena.first = block;
        arena.enter(block);
        return true;
    }

    fn resize(context: *anyopaque, memory: []u8, _: std.mem.Alignment, length: usize, _: usize) bool {
        const arena: *Arena = @ptrCast(@alignCast(context));
        const start = @intFromPtr(memory.ptr);
        if (start + memory.len != arena.next) return length <= memory.len;
        if (length > arena.end() - start) return false;
        arena.next = start + length;
        return true;
    }

    fn remap(context: *anyopaque, memory: []u8, alignment: std.mem.Alignment, length: usize, at: usize) ?[*]u8 {
        return if (resize(context, memory, alignment, length, at)) memory.ptr else null;
    }

    fn free(context: *anyopaque, memory: []u8, alignment: std.mem.Alignment, at: usize) void {
        _ = resize(context, memory, alignment, 0, at);
    }

    const page_bytes = 64 << 10;

    fn endsMemory(block: *const Block) bool {
        return on_weir and block.end == @wasmMemorySize(0) * page_bytes;
    }

    /// Memory that nobody has yet, at least so much.
    fn grow(length: usize) ?[]align(@alignOf(Block)) u8 {
        const whole = std.mem.alignForward(usize, length, page_bytes);
        if (!on_weir) return std.heap.page_allocator.alignedAlloc(u8, .of(Block), whole) catch null;
        const before = @wasmMemoryGrow(0, whole / page_bytes);
        if (before < 0) return null;
        const start: [*]align(@alignOf(Block)) u8 = @ptrFromInt(@as(usize, @intCast(before)) * page_bytes);
        return start[0..whole];
    }
};

/// What is kept from one call to the next.
var state: struct {
    arena: Arena = .{},
    reason: []const u8 = "",
    config: ?[]const u8 = null,
} = .{};

const backing = if (on_weir) std.heap.wasm_allocator else std.heap.page_allocator;

const host = if (on_weir) struct {
    extern "weir" fn log(level: u32, text: [*]const u8, length: u32) void;
    extern "weir" fn config_len() u32;
    extern "weir" fn config_read(to: [*]u8) void;
} else struct {
    fn config_len() usize {
        return test_config.len;
    }

    fn config_read(to: [*]u8) void {
        @memcpy(to, test_config);
    }
};

fn logText(level: std.log.Level, text: []const u8) void {
    if (!on_weir) return std.debug.print("{t}: {s}\n", .{ level, text });
    const place = if (text.len > 0) text.ptr else "";
    host.log(3 - @as(u32, @intFromEnum(level)), place, text.len);
}

fn stdLog(
    comptime level: std.log.Level,
    comptime scope: @TypeOf(.enum_literal),
    comptime format: []const u8,
    arguments: anytype,
) void {
    log(level, (if (scope == .default) "" else "(" ++ @tagName(scope) ++ ") ") ++ format, arguments);
}

fn parse(
    comptime T: type,
    allocator: Allocator,
    text: []const u8,
    comptime what: []const u8,
    options: std.json.ParseOptions,
) Refusal!T {
    var scanner: std.json.Scanner = .initCompleteInput(state.arena.allocator(), text);
    var place: std.json.Diagnostics = .{};
    scanner.enableDiagnostics(&place);
    return std.json.parseFromTokenSourceLeaky(T, allocator, &scanner, options) catch |err| switch (err) {
        error.OutOfMemory => error.OutOfMemory,
        else => reject(
            what ++ " is not as expected: {t} at line {d}, column {d}",
            .{ err, place.getLine(), place.getColumn() },
        ),
    };
}

/// Reads MessagePack, one value after the other, never beyond its end.
const Reader = struct {
    rest: []const u8,

    fn take(reader: *Reader, length: usize) Malformed![]const u8 {
        if (length > reader.rest.len) return error.Malformed;
        defer reader.rest = reader.rest[length..];
        return reader.rest[0..length];
    }

    fn number(reader: *Reader, comptime T: type) Malformed!T {
        const bytes = try reader.take(@sizeOf(T));
        return std.mem.readInt(T, bytes[0..@sizeOf(T)], .big);
    }

    fn unsigned(reader: *Reader) Malformed!u64 {
        return switch (try reader.number(u8)) {
            0...0x7f => |value| value,
            0xcc => try reader.number(u8),
            0xcd => try reader.number(u16),
            0xce => try reader.number(u32),
            0xcf => reader.number(u64),
            else => error.Malformed,
        };
    }

    fn array(reader: *Reader) Malformed!usize {
        return switch (try reader.number(u8)) {
            0x90...0x9f => |tag| tag & 0x0f,
            0xdc => try reader.number(u16),
            0xdd => try reader.number(u32),
            else => error.Malformed,
        };
    }

    fn text(reader: *Reader) Malformed![]const u8 {
        return reader.take(switch (try reader.number(u8)) {
            0xa0...0xbf => |tag| tag & 0x1f,
            0xd9 => try reader.number(u8),
            0xda => try reader.number(u16),
            0xdb => try reader.number(u32),
            else => return error.Malformed,
        });
    }

    fn binary(reader: *Reader) Malformed![]const u8 {
        return reader.take(switch (try reader.number(u8)) {
            0xc4 => try reader.number(u8),
            0xc5 => try reader.number(u16),
            0xc6 => try reader.number(u32),
            else => return error.Malformed,
        });
    }
};
