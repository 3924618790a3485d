//! The reference module in Zig: does what the last token of the event's subject says, as the cases of
//! tests/conformance ask of every SDK.

const std = @import("std");
const weir = @import("weir");

pub const panic = weir.panic;
pub const std_options = weir.std_options;

comptime {
    weir.transform(operate);
}

const Operation = enum {
    echo,
    upper,
    none,
    many,
    subject,
    facts,
    headers,
    reject,
    config,
    log,
    throw,
    memory,
    loop,
};

fn operate(event: weir.Event, answer: *weir.Answer) !void {
    const start = if (std.mem.lastIndexOfScalar(u8, event.subject, '.')) |dot| dot + 1 else 0;
    const name = event.subject[start..];
    const operation = std.meta.stringToEnum(Operation, name) orelse
        return weir.reject("unknown operation: {s}", .{name});
    switch (operation) {
        .echo => try answer.send(event.message(event.payload)),
        .upper => try answer.send(.{ .payload = try std.ascii.allocUpperString(event.arena, event.payload) }),
        .none => {},
        .many => try many(event, answer),
        .subject => try answer.send(.{ .subject = event.payload }),
        .facts => try answer.send(.{ .payload = try std.fmt.allocPrint(
            event.arena,
            "{s}|{d}|{d}|{d}",
            .{ event.subject, event.sequence, event.timestamp_ns, event.headers.len },
        ) }),
        .headers => try answer.send(.{ .headers = try std.mem.concat(event.arena, weir.Header, &.{
            event.headers,
            &.{ .{ .name = "Added", .value = "one" }, .{ .name = "Added", .value = "two" } },
        }) }),
        .reject => return weir.reject("{s}", .{event.payload}),
        .config => try answer.send(.{ .payload = try weir.configText() }),
        .log => std.log.info("{s}", .{event.payload}),
        .throw => @panic(event.payload),
        .memory => while (true) {
            const step = try event.arena.alloc(u8, 64 << 10);
            @as(*volatile u8, &step[0]).* = 1;
        },
        .loop => {
            var turns: usize = 0;
            while (true) @as(*volatile usize, &turns).* +%= 1;
        },
    }
}

fn many(event: weir.Event, answer: *weir.Answer) !void {
    const count = try std.fmt.parseInt(u32, event.payload, 10);
    for (0..count) |part| {
        try answer.send(.{ .payload = try std.fmt.allocPrint(event.arena, "{d}", .{part}) });
    }
}
