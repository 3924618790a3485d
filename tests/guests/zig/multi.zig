//! Sends none, one or three messages, by the event's sequence, and refuses what begins with `no`. Gives the same
//! answers as ../examples/multi.rs.

const std = @import("std");
const weir = @import("weir");

pub const panic = weir.panic;

comptime {
    weir.transform(multi);
}

fn multi(event: weir.Event, answer: *weir.Answer) !void {
    if (std.mem.startsWith(u8, event.payload, "no")) {
        return weir.reject("the payload begins with no", .{});
    }
    const counts = [_]u8{ 0, 1, 3 };
    for (0..counts[@intCast(event.sequence % 3)]) |part| {
        const number = try std.fmt.allocPrint(event.arena, "{d}", .{part});
        try answer.send(.{
            .payload = try std.mem.join(event.arena, "#", &.{ event.payload, number }),
            .headers = try std.mem.concat(event.arena, weir.Header, &.{
                event.headers, &.{.{ .name = "Part", .value = number }},
            }),
        });
    }
}
