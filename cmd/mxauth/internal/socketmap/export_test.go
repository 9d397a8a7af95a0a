package socketmap

var Cut = cut
