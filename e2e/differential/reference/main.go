// content-reference serves containerd's own local content store on a socket of its own, through
// containerd's own content server: what eagle-plugin has to be equal to.
//
//	content-reference FOLDER SOCKET
package main

import (
	"log"
	"net"
	"os"

	api "github.com/containerd/containerd/api/services/content/v1"
	"github.com/containerd/containerd/v2/plugins/content/local"
	"github.com/containerd/containerd/v2/plugins/services/content/contentserver"
	"google.golang.org/grpc"
)

// As containerd has it.
const maxMessageBytes = 16 << 20

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: content-reference FOLDER SOCKET")
	}
	store, err := local.NewStore(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("unix", os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer(grpc.MaxRecvMsgSize(maxMessageBytes), grpc.MaxSendMsgSize(maxMessageBytes))
	api.RegisterContentServer(server, contentserver.New(store))
	log.Fatal(server.Serve(listener))
}
