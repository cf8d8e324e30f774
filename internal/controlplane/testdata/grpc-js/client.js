// A gRPC client that finds its service by xDS: it calls the target that it is
// given again and again until its standard input ends, and writes a line for each
// call: the address that answered, or the status that the call ended with.
'use strict';
const grpc = require('@grpc/grpc-js');
require('@grpc/grpc-js-xds').register();

const client = new grpc.Client(process.argv[2], grpc.credentials.createInsecure());
const bytes = (message) => message; // an empty HealthCheckRequest is no bytes at all
let done = false;

function next() {
  if (done) {
    process.exit();
  }
  const call = client.makeUnaryRequest('/grpc.health.v1.Health/Check', bytes, bytes, Buffer.alloc(0),
    new grpc.Metadata(), { deadline: Date.now() + 5000 }, (error) => {
      console.log(error ? `${grpc.status[error.code]} ${error.details}` : call.getPeer());
      setTimeout(next, 10);
    });
}

process.stdin.on('end', () => { done = true; }).resume();
next();
