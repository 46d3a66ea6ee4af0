from lsst.ts.mtmount.core.framing cimport FrameBuffer
def f(FrameBuffer b):
    return b.start
