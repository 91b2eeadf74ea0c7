"""The most memory that a program of a test had, which it says itself."""

# Not ru_maxrss of getrusage(2): that begins with what the process that started the program had.
PEAK_KIB = """
def peak_kib():
    status = open("/proc/self/status").read()
    return int(status.partition("VmHWM:")[2].split()[0])
"""
