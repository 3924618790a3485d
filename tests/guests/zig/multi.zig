//! Sends none, one or three messages, by the event's sequence, and refuses what begins with `no`. Gives the same
//! answers as ../examples/multi.rs.

const std = @import("std");

var memory: [4 << 20]u8 = undefined;
var used: usize = 0;

export fn weir_alloc(length: u32) [*]u8 {
    used = length;
    return &memory;
}

export fn weir_process(at: [*]const u8, length: u32) u64 {
    var reader = Reader{ .bytes = at[0..length] };
    _ = reader.array();
    _ = reader.blob();
    const payload = reader.blob();
    const pairs = reader.array();
    const first = reader.at;
    for (0..pairs) |_| {
        _ = reader.array();
        _ = reader.blob();
        _ = reader.blob();
    }
    const headers = reader.bytes[first..reader.at];
    const sequence = reader.uint();

    var writer = Writer{ .bytes = memory[used..] };
    writer.put(&.{0x92});
    if (std.mem.startsWith(u8, payload, "no")) {
        writer.put(&.{1});
        writer.blob(0xdb, "the payload begins with no");
        return writer.finish();
    }
    const counts = [_]u8{ 0, 1, 3 };
    const count = counts[@intCast(sequence % 3)];
    writer.put(&.{0});
    writer.head(0xdd, count);
    for (0..count) |part| {
        const digit = '0' + @as(u8, @intCast(part));
        writer.put(&.{ 0x93, 0xc0 });
        writer.head(0xc6, payload.len + 2);
        writer.put(payload);
        writer.put(&.{ '#', digit });
        writer.head(0xdd, pairs + 1);
        writer.put(headers);
        writer.put(&.{0x92});
        writer.blob(0xdb, "Part");
        writer.put(&.{ 0xa1, digit });
    }
    return writer.finish();
}

/// Reads the host's MessagePack, which is well formed.
const Reader = struct {
    bytes: []const u8,
    at: usize = 0,

    fn byte(self: *Reader) u8 {
        defer self.at += 1;
        return self.bytes[self.at];
    }

    fn number(self: *Reader, width: u8) u64 {
        var value: u64 = 0;
        for (0..width) |_| value = value << 8 | self.byte();
        return value;
    }

    fn uint(self: *Reader) u64 {
        const tag = self.byte();
        return switch (tag) {
            0xcc => self.number(1),
            0xcd => self.number(2),
            0xce => self.number(4),
            0xcf => self.number(8),
            else => tag,
        };
    }

    fn array(self: *Reader) usize {
        const tag = self.byte();
        return switch (tag) {
            0xdc => @intCast(self.number(2)),
            0xdd => @intCast(self.number(4)),
            else => tag & 0x0f,
        };
    }

    fn blob(self: *Reader) []const u8 {
        const tag = self.byte();
        const length: usize = @intCast(switch (tag) {
            0xc4, 0xd9 => self.number(1),
            0xc5, 0xda => self.number(2),
            0xc6, 0xdb => self.number(4),
            else => tag & 0x1f,
        });
        defer self.at += length;
        return self.bytes[self.at..][0..length];
    }
};

/// Writes an answer into what is left of the memory; running out of it is a trap.
const Writer = struct {
    bytes: []u8,
    at: usize = 0,

    fn put(self: *Writer, bytes: []const u8) void {
        @memcpy(self.bytes[self.at..][0..bytes.len], bytes);
        self.at += bytes.len;
    }

    fn head(self: *Writer, tag: u8, length: usize) void {
        self.put(&.{tag});
        var number: [4]u8 = undefined;
        std.mem.writeInt(u32, &number, @intCast(length), .big);
        self.put(&number);
    }

    fn blob(self: *Writer, tag: u8, bytes: []const u8) void {
        self.head(tag, bytes.len);
        self.put(bytes);
    }

    fn finish(self: *const Writer) u64 {
        return @as(u64, @intFromPtr(self.bytes.ptr)) << 32 | self.at;
    }
};
