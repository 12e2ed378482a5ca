"""What an account may use, as arithmetic: no clock, no SQL, no gRPC."""
