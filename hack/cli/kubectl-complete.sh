#!/bin/sh
# Asked by kubectl for what may come next on the command line of "kubectl edgecache".
exec kubectl-edgecache __complete "$@"
