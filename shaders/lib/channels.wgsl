// Iterates over the values of a channel of a tensor [rows, channels, inner], without a division per step.

struct ChannelsWalk {
    at: u32,
    column: u32,
}

// The position in memory of value i of channel c.
fn channels_place(channels: u32, inner: u32, c: u32, i: u32) -> ChannelsWalk {
    let column = i % inner;
    return ChannelsWalk((i / inner * channels + c) * inner + column, column);
}

// The position in memory that is `step` values of the channel after the position `walk`.
fn channels_next(channels: u32, inner: u32, walk: ChannelsWalk, step: u32) -> ChannelsWalk {
    let row = channels * inner;
    let column = walk.column + step % inner;
    let at = walk.at + step / inner * row + step % inner;
    if column >= inner {
        return ChannelsWalk(at + row - inner, column - inner);
    }
    return ChannelsWalk(at, column);
}
