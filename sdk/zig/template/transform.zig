//! Sends every event on in capitals, with its headers.

const std = @import("std");
const weir = @import("weir.zig");

pub const panic = weir.panic;
pub const std_options = weir.std_options;

comptime {
    weir.transform(transform);
}

fn transform(event: weir.Event, answer: *weir.Answer) !void {
    if (event.payload.len == 0) return weir.reject("the payload is empty", .{});
    try answer.send(event.message(try std.ascii.allocUpperString(event.arena, event.payload)));
}
