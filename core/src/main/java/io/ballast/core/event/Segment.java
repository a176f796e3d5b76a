package io.ballast.core.event;

import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/** A file of the journal that is being written; an interface so that tests can make a disk fail. */
interface Segment extends Closeable {

    /** Opens the file, or makes it. */
    interface Opener {
        /** The file, to be written from its end. */
        Segment open(Path file) throws IOException;
    }

    /** Bytes in it. */
    long size() throws IOException;

    /** Writes all of it at the end, or fails with part of it written. */
    void append(ByteBuffer bytes) throws IOException;

    /** Cuts it to that size. */
    void truncate(long size) throws IOException;

    /** Waits until the disk has it. */
    void force() throws IOException;

    /** Opens a real file. */
    static Segment open(Path file) throws IOException {
        FileChannel channel = FileChannel.open(file, StandardOpenOption.CREATE, StandardOpenOption.WRITE);
        return new Segment() {
            @Override
            public long size() throws IOException {
                return channel.size();
            }

            @Override
            public void append(ByteBuffer bytes) throws IOException {
                channel.position(channel.size());
                while (bytes.hasRemaining()) {
                    channel.write(bytes);
                }
            }

            @Override
            public void truncate(long size) throws IOException {
                channel.truncate(size);
            }

            @Override
            public void force() throws IOException {
                channel.force(false);
            }

            @Override
            public void close() throws IOException {
                channel.close();
            }
        };
    }
}
