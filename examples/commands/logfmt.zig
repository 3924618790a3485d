//! Turns lines of `key=value key="two words"` into lines of JSON. A line without a '=' is refused.

const std = @import("std");

const input_bytes_max = 16 << 20;

pub fn main() !void {
    var arena = std.heap.ArenaAllocator.init(std.heap.page_allocator);
    const text = try std.fs.File.stdin().readToEndAlloc(arena.allocator(), input_bytes_max);
    var buffer: [4096]u8 = undefined;
    var stdout = std.fs.File.stdout().writer(&buffer);
    var lines = std.mem.tokenizeScalar(u8, text, '\n');
    var number: usize = 1;
    while (lines.next()) |line| : (number += 1) {
        object(line, &stdout.interface) catch |err| {
            std.debug.print("line {d}: {s}\n", .{ number, @errorName(err) });
            std.process.exit(1);
        };
    }
    try stdout.interface.flush();
}

fn object(line: []const u8, out: *std.Io.Writer) !void {
    var rest = std.mem.trim(u8, line, " \r");
    var separator: u8 = '{';
    while (rest.len > 0) : (separator = ',') {
        const equals = std.mem.indexOfScalar(u8, rest, '=') orelse return error.NoEqualsSign;
        const key = rest[0..equals];
        rest = rest[equals + 1 ..];
        const is_quoted = rest.len > 0 and rest[0] == '"';
        if (is_quoted) rest = rest[1..];
        const end = std.mem.indexOfScalar(u8, rest, if (is_quoted) '"' else ' ') orelse rest.len;
        try out.writeByte(separator);
        try std.json.Stringify.encodeJsonString(key, .{}, out);
        try out.writeByte(':');
        try std.json.Stringify.encodeJsonString(rest[0..end], .{}, out);
        rest = std.mem.trimLeft(u8, rest[@min(end + 1, rest.len)..], " ");
    }
    try out.writeAll("}\n");
}
