"""Episodes on disk: collecting them, checking them, drawing training clips from them.

A dataset is a folder, readable with NumPy alone:

    dataset.json              how it was made, the spaces, the number of episodes (manifest.py)
    shards/00000/             episodes 0 to episodes_per_shard - 1, one after the other
        shard.json            lengths and seeds of its episodes, size and CRC-32 of each file
        frames.npy            uint8 [sum(T + 1), H, W, C]
        actions.npy           [sum(T), ...] as ActionCodec.store gives them
        rewards.npy           float32 [sum(T)]
        terminated.npy        bool [sum(T)]
        truncated.npy         bool [sum(T)]
        info.<key>.npy        [sum(T + 1), ...], what the simulator told with each frame
    shards/00001/ ...

T is an episode's number of steps. A shard appears by one rename when it is whole. Episode i depends only on the
dataset's seed and i.
"""
